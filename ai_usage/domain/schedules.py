"""Calendar periods of schedules: which one is due, which one comes next. Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["daily", "weekly", "monthly"]


def begin(period: Period, day: date) -> date:
    """The first day of the period that holds ``day``; weeks begin on Monday."""
    if period == "weekly":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "monthly" else day


def following(period: Period, start: date) -> date:
    """The first day of the period after that of ``start``."""
    if period == "monthly":
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=7 if period == "weekly" else 1)


def due_at(period: Period, start: date, hour: int, zone: ZoneInfo) -> datetime:
    """When the period from ``start`` is exported: at ``hour`` of the day after its last one.

    An hour that a change of clocks leaves out is the one after it; of one that comes twice, the first.
    """
    return datetime.combine(following(period, start), time(hour), zone)


def latest(period: Period, now: datetime, hour: int, zone: ZoneInfo) -> date:
    """The first day of the last period that is due at ``now``."""
    current = begin(period, now.astimezone(zone).date())
    while due_at(period, current, hour, zone) > now:
        current = begin(period, current - timedelta(days=1))
    return current
