"""Beat's chores for alerts."""

from __future__ import annotations

from celery import shared_task

from ai_usage.services import alert_mail, evaluation


@shared_task(name="ai_usage.check_alerts")
def check_alerts() -> None:
    """Check every company's figures against its thresholds, and mail what is new."""
    evaluation.check_all()
    alert_mail.send_waiting()
