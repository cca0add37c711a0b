"""Beat's chores for rollups, alerts and exports. Shells only; the work is in the services."""

from __future__ import annotations

from typing import Any

from celery import shared_task, signals

from ai_usage.services import alert_mail, audit_alerts, evaluation, exports, rollups, schedules


@shared_task(name="ai_usage.fold_rollups")
def fold_rollups() -> None:
    """Fold what the ledger has gained."""
    rollups.fold()


@shared_task(name="ai_usage.check_rollups")
def check_rollups() -> None:
    """Compare the rollups with the ledger; what is off is an alert of the company's."""
    rollups.tell(rollups.check())


@shared_task(name="ai_usage.check_alerts")
def check_alerts() -> None:
    """Check every company's figures against its thresholds, and mail what is new."""
    evaluation.check_all()
    alert_mail.write_waiting()


@shared_task(name="ai_usage.verify_audit")
def verify_audit() -> None:
    """Check the audit trail; a fault is an alert."""
    audit_alerts.verify_and_tell()


@shared_task(name="ai_usage.make_export")
def make_export(export_pk: int) -> None:
    """Make an export's file, in this task's thread."""
    exports.make(export_pk)


@shared_task(name="ai_usage.relay_exports")
def relay_exports() -> None:
    """Ring for exports that nobody makes; expire those that are over."""
    exports.relay()


@shared_task(name="ai_usage.run_schedules")
def run_schedules() -> None:
    """Ask for the exports whose period has ended."""
    schedules.run_due()


@shared_task(name="ai_usage.forget_exports")
def forget_exports() -> None:
    """Delete what is left of exports that ended long ago."""
    exports.forget_old()


@signals.worker_shutting_down.connect
def give_back(**_: Any) -> None:
    """A worker that ends holds no export."""
    exports.give_back_all()
