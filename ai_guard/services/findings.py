"""What the content filter found is written down and counted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, Sum

from ai_guard.models import Finding


def record(company_id: int, brand_id: int, **facts: Any) -> None:
    """Write one finding."""
    Finding.objects.unscoped().create(company_id=company_id, brand_id=brand_id, **facts)


def counted(company_id: int, since: datetime) -> list[dict[str, Any]]:
    """How many there were since then, by direction and action."""
    rows = Finding.objects.of(company_id).filter(created_at__gte=since)
    grouped = rows.order_by().values("direction", "action")
    return list(grouped.annotate(count=Count("pk"), hits=Sum("hits")).order_by("direction", "action"))
