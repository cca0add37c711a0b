"""Exports and schedules for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ai_usage.models import Export, ExportSchedule
from ai_usage.selectors import Scope
from ai_usage.services import exports, schedules
from tests.world import Cast


def scope(cast: Cast) -> Scope:
    """All of Alice's company's played usage."""
    return Scope(cast.company.pk, None, True, "UTC")


def asked(cast: Cast, format: str = "csv", filters: dict[str, str] | None = None, **more: Any) -> Export:
    """An export that Alice asked for, old enough to be made at once."""
    to = ["alice@example.com"]
    wanted = exports.Wanted(scope(cast), format, filters or {}, cast.alice.user.pk, to)
    export = exports.ask(wanted, **more)
    return aged(export)


def aged(export: Export) -> Export:
    """The same, asked for a while ago (other tests' transactions may be open for a moment)."""
    rows = Export.objects.unscoped().filter(pk=export.pk)
    rows.update(created_at=export.created_at - timedelta(minutes=1), seen_xid=0)
    return again(export)


def again(export: Export) -> Export:
    """The row as it is now."""
    return Export.objects.unscoped().get(pk=export.pk)  # type: ignore[no-any-return]


def made_export(cast: Cast, model: str = "gpt-4o-mini") -> Export:
    """One that is ready."""
    export = asked(cast, filters={"model": model})
    exports.make(export.pk)
    return again(export)


def made_schedule(cast: Cast, name: str = "Every day", **fields: Any) -> ExportSchedule:
    """A daily one, by e-mail to Alice."""
    known: dict[str, Any] = {
        "name": name,
        "period": "daily",
        "hour": 6,
        "format": "csv",
        "filters": {},
        "delivery": "email",
        "recipients": ["alice@example.com"],
        "is_paused": False,
    }
    return schedules.make(scope(cast), cast.alice.user.pk, {**known, **fields})
