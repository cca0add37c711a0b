"""Time: aware UTC everywhere, calendar windows in a company's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH_DAY = date(1970, 1, 1)


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with ``Z`` (``2026-11-20T10:30:00.123456Z``), None for None."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=512)
def zone(name: str) -> ZoneInfo:
    """The time zone ``name``; raises ``ZoneInfoNotFoundError`` when there is none."""
    return ZoneInfo(name)


def window_start(period: str, moment: datetime, zone_name: str) -> date:
    """The first local day of the ``day`` | ``month`` | ``total`` window that holds ``moment``."""
    local = moment.astimezone(zone(zone_name)).date()
    if period == "day":
        return local
    if period == "month":
        return local.replace(day=1)
    if period == "total":
        return EPOCH_DAY
    raise ValueError(f"unknown period {period!r}")


def window_end(period: str, moment: datetime, zone_name: str) -> datetime | None:
    """When the window that holds ``moment`` ends (aware UTC); None for ``total``."""
    start = window_start(period, moment, zone_name)
    if period == "total":
        return None
    following = start + timedelta(days=1)
    if period == "month":
        following = (start + timedelta(days=32)).replace(day=1)
    local = datetime(following.year, following.month, following.day, tzinfo=zone(zone_name))
    return local.astimezone(UTC)
