"""Beat's chores for rollups and alerts. Shells only; the work is in the services."""

from __future__ import annotations

from celery import shared_task

from ai_usage.services import alert_mail, audit_alerts, evaluation, rollups


@shared_task(name="ai_usage.fold_rollups")
def fold_rollups() -> None:
    """Fold what the ledger has gained."""
    rollups.fold()


@shared_task(name="ai_usage.check_rollups")
def check_rollups() -> None:
    """Compare the rollups with the ledger; whoever must know is told."""
    found = rollups.check()
    if found:
        rollups.tell(found)


@shared_task(name="ai_usage.check_alerts")
def check_alerts() -> None:
    """Check every company's figures against its thresholds, and mail what is new."""
    evaluation.check_all()
    alert_mail.send_waiting()


@shared_task(name="ai_usage.verify_audit")
def verify_audit() -> None:
    """Check the audit trail; a fault is an alert."""
    audit_alerts.verify_and_tell()
