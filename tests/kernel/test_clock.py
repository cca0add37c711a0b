"""Moments in UTC; days and months where the company is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfoNotFoundError

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from megahub.kernel import clock

ZONES = ["UTC", "Europe/Zurich", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Asia/Beirut"]
#: From 2000 to 2037, to the second.
moments = st.integers(946_684_800, 2_143_152_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ends(period: str, moment: str, zone: str) -> str | None:
    return clock.iso(clock.window_end(period, at(moment), zone))


def test_it_works() -> None:
    with time_machine.travel(datetime(2026, 11, 20, 10, 30, tzinfo=UTC), tick=False):
        assert clock.now() == datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
        assert clock.now().tzinfo is UTC


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, None),
        (datetime(2026, 11, 20, 10, 30, tzinfo=UTC), "2026-11-20T10:30:00Z"),
        (datetime(2026, 11, 20, 10, 30, 0, 123456, tzinfo=UTC), "2026-11-20T10:30:00.123456Z"),
        (datetime(2026, 11, 20, 11, 30, tzinfo=timezone(timedelta(hours=1))), "2026-11-20T10:30:00Z"),
    ],
)
def test_iso(moment: datetime | None, text: str | None) -> None:
    assert clock.iso(moment) == text


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", date(2026, 11, 30)),
        ("Europe/Zurich", date(2026, 12, 1)),
        ("America/New_York", date(2026, 11, 30)),
        ("Asia/Kathmandu", date(2026, 12, 1)),
        ("Pacific/Kiritimati", date(2026, 12, 1)),
    ],
)
def test_starts(zone: str, day: date) -> None:
    moment = at("2026-11-30T23:30:00Z")

    assert clock.window_start("day", moment, zone) == day
    assert clock.window_start("month", moment, zone) == day.replace(day=1)
    assert clock.window_start("total", moment, zone) == date(1970, 1, 1)


@pytest.mark.parametrize(
    ("moment", "zone", "end"),
    [
        ("2026-11-20T10:00:00Z", "UTC", "2026-11-21T00:00:00Z"),
        ("2026-11-20T10:00:00Z", "Europe/Zurich", "2026-11-20T23:00:00Z"),
        ("2026-07-20T10:00:00Z", "Europe/Zurich", "2026-07-20T22:00:00Z"),
        ("2026-11-20T10:00:00Z", "Asia/Kathmandu", "2026-11-20T18:15:00Z"),
        # The clocks go forward on 29 March and back on 25 October, in the night before.
        ("2026-03-29T00:30:00Z", "Europe/Zurich", "2026-03-29T22:00:00Z"),
        ("2026-10-25T00:30:00Z", "Europe/Zurich", "2026-10-25T23:00:00Z"),
        # Where they go forward at midnight, the day begins at one.
        ("2026-03-28T12:00:00Z", "Asia/Beirut", "2026-03-28T22:00:00Z"),
        ("2028-02-28T12:00:00Z", "UTC", "2028-02-29T00:00:00Z"),
        ("2026-12-31T23:30:00Z", "UTC", "2027-01-01T00:00:00Z"),
    ],
)
def test_days(moment: str, zone: str, end: str) -> None:
    assert ends("day", moment, zone) == end


@pytest.mark.parametrize(
    ("moment", "zone", "end"),
    [
        ("2026-01-31T12:00:00Z", "UTC", "2026-02-01T00:00:00Z"),
        ("2026-02-28T12:00:00Z", "UTC", "2026-03-01T00:00:00Z"),
        ("2028-02-29T12:00:00Z", "UTC", "2028-03-01T00:00:00Z"),
        ("2026-12-15T12:00:00Z", "UTC", "2027-01-01T00:00:00Z"),
        ("2026-01-31T23:30:00Z", "Europe/Zurich", "2026-02-28T23:00:00Z"),
        # A month that begins in winter time and ends in summer time, and the other way round.
        ("2026-03-10T12:00:00Z", "Europe/Zurich", "2026-03-31T22:00:00Z"),
        ("2026-10-10T12:00:00Z", "Europe/Zurich", "2026-10-31T23:00:00Z"),
    ],
)
def test_months(moment: str, zone: str, end: str) -> None:
    assert ends("month", moment, zone) == end


def test_a_total_has_no_end() -> None:
    assert clock.window_end("total", at("2026-11-20T10:00:00Z"), "UTC") is None


@pytest.mark.parametrize("period", ["", "week", "Day"])
def test_unknown_periods(period: str) -> None:
    with pytest.raises(ValueError):
        clock.window_start(period, at("2026-11-20T10:00:00Z"), "UTC")
    with pytest.raises(ValueError):
        clock.window_end(period, at("2026-11-20T10:00:00Z"), "UTC")


def test_unknown_zones() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        clock.zone("Europe/Atlantis")


@given(moments, st.sampled_from(ZONES), st.sampled_from(["day", "month"]))
def test_windows_follow_each_other(moment: datetime, zone: str, period: str) -> None:
    """A moment lies in its window, which ends where the next one begins."""
    end = clock.window_end(period, moment, zone)
    assert end is not None

    assert moment < end
    start = clock.window_start(period, moment, zone)
    assert clock.window_start(period, end - timedelta(microseconds=1), zone) == start
    assert clock.window_start(period, end, zone) > start
