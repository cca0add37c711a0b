"""Reading the trail: a company its own."""

from __future__ import annotations

from django.db.models import QuerySet

from megahub.audit.models import AuditEntry


def trail_of(company_id: int) -> QuerySet[AuditEntry]:
    """A company's entries, the newest first.

    Its chain has its number: pages and the file's chunks are read in the order of ``audit_place_once``.
    """
    rows: QuerySet[AuditEntry] = AuditEntry.objects.of(company_id)
    return rows.filter(chain=company_id).order_by("-seq")
