"""When a recurring batch runs next, and what of its template depends on the day. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


class BadClock(ValueError):
    """An expression or a time zone that this host does not (or no longer) know."""


def check(expression: str, zone: str) -> str | None:
    """Which of the two is wrong (``cron`` or ``timezone``); None when neither is."""
    try:
        _zone(zone)
    except BadClock:
        return "timezone"
    try:
        following(expression, zone, datetime.now(UTC))
    except BadClock:
        return "cron"
    return None


def following(expression: str, zone: str, after: datetime) -> datetime:
    """The next moment (aware UTC) behind ``after``. Raises BadClock."""
    local = after.astimezone(_zone(zone))
    try:
        return next(CronSim(expression, local)).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        raise BadClock(f"'{expression}' names no moment.") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadClock(f"There is no time zone '{name}'.") from error


def variables(moment: datetime, zone: str) -> dict[bytes, bytes]:
    """What stands for ``{{date}}`` and the others: each as the schedule's own clock shows it.

    Raises BadClock.
    """
    local = moment.astimezone(_zone(zone))
    found = {
        "date": f"{local:%Y-%m-%d}",
        "datetime": f"{local:%Y-%m-%dT%H:%M:%S%z}",
        "year": f"{local:%Y}",
        "month": f"{local:%m}",
        "day": f"{local:%d}",
        "weekday": f"{local:%A}",
        "week": f"{local:%V}",
        "yesterday": f"{local - timedelta(days=1):%Y-%m-%d}",
        "tomorrow": f"{local + timedelta(days=1):%Y-%m-%d}",
    }
    return {b"{{%s}}" % name.encode(): value.encode() for name, value in found.items()}


def filled(line: bytes, values: dict[bytes, bytes]) -> bytes:
    """A line of the template on that day."""
    if b"{{" in line:
        for name, value in values.items():
            line = line.replace(name, value)
    return line
