"""The whole hub at a glance, over all companies: for the admin's start page. Rollups and alerts only."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, Sum

from ai_usage.models import AIUsageAlert, UsageRollup

SUMS = ("cost_nano_usd", "jobs", "succeeded", "failed", "timeouts", "cancelled")


def days(first: date, last: date, *, sandbox: bool) -> list[dict[str, Any]]:
    """Each day's sums, those without a job too."""
    rows = _rollups(first, last, sandbox).order_by().values("day")
    known = {row["day"]: row for row in rows.annotate(**{name: Sum(name) for name in SUMS})}
    nothing = dict.fromkeys(SUMS, 0)
    span = range((last - first).days + 1)
    return [{**nothing, "day": day, **known.get(day, {})} for day in (first + timedelta(n) for n in span)]


def dearest(first: date, last: date, column: str, *, sandbox: bool, most: int = 6) -> list[tuple[str, int]]:
    """(name, nano-USD) of what cost most: by ``company__name`` or ``model``."""
    rows = _rollups(first, last, sandbox).order_by().values(name=F(column))
    found = rows.annotate(cost=Sum("cost_nano_usd")).filter(cost__gt=0).order_by("-cost", "name")
    return [(row["name"], row["cost"]) for row in found[:most]]


def open_alerts() -> dict[str, int]:
    """How many alerts are not resolved, by severity."""
    rows = AIUsageAlert.objects.unscoped().filter(is_resolved=False).order_by().values("severity")
    return {row["severity"]: row["count"] for row in rows.annotate(count=Count("pk"))}


def latest_alerts(most: int = 5) -> list[AIUsageAlert]:
    """The newest of them, with their companies."""
    rows = AIUsageAlert.objects.unscoped().filter(is_resolved=False)
    return list(rows.select_related("company").order_by("-pk")[:most])


def _rollups(first: date, last: date, sandbox: bool) -> Any:
    return UsageRollup.objects.unscoped().filter(day__gte=first, day__lte=last, sandbox=sandbox)
