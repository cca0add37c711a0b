"""Reading the trail: a company its own, the hub's own chain to those who run it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from megahub.audit.models import AuditEntry


def trail_of(company_id: int) -> QuerySet[AuditEntry]:
    """A company's entries, the newest first."""
    rows: QuerySet[AuditEntry] = AuditEntry.objects.of(company_id)
    return rows.order_by("-seq")


def about(object_type: str, object_id: Any) -> QuerySet[AuditEntry]:
    """What was changed of one object, the newest first (for the admin)."""
    rows: QuerySet[AuditEntry] = AuditEntry.objects.unscoped()
    return rows.filter(object_type=object_type, object_id=str(object_id)).order_by("-id")
