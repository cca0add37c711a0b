"""Beat's chores for the rollups. Shells only; the work is in the services."""

from __future__ import annotations

import logging

from celery import shared_task

from ai_usage.services import rollups

log = logging.getLogger(__name__)


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
