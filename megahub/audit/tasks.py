"""Beat's chore: heads are anchored outside the database (``ai_usage`` checks them: it can alert)."""

from __future__ import annotations

from celery import shared_task

from megahub.audit.services import anchors


@shared_task(name="audit.drop_anchors")
def drop_anchors() -> None:
    """Anchor the heads that have moved."""
    anchors.drop()
