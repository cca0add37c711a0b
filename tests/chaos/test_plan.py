"""What ``./hub chaos`` will do is decided by its seed."""

from __future__ import annotations

from collections import Counter

from tools.chaos.callers import operations
from tools.chaos.plan import Amounts, plan

AMOUNTS = Amounts(
    kills=30, stops=10, long_stops=5, flushes=4, broker_restarts=3, database_restarts=2, weathers=9
)
SERVERS = frozenset({"broker", "database", "provider"})


def test_a_seed_plays_the_same_blows_again() -> None:
    assert plan(7, 100, AMOUNTS, SERVERS, 45) == plan(7, 100, AMOUNTS, SERVERS, 45)
    assert plan(7, 100, AMOUNTS, SERVERS, 45) != plan(8, 100, AMOUNTS, SERVERS, 45)


def test_it_does_what_was_asked_for_in_order_of_time() -> None:
    blows = plan(7, 100, AMOUNTS, SERVERS, 45)
    kinds = Counter(blow.kind for blow in blows)
    assert kinds == {
        "kill": 30, "stop": 15, "go on": 15, "flush": 4, "restart": 5, "misbehave": 9, "behave": 9
    }  # fmt: skip
    assert [blow.at for blow in blows] == sorted(blow.at for blow in blows)
    assert {b.target for b in blows if b.kind == "misbehave"} == SERVERS


def test_long_stops_outlast_the_lease() -> None:
    blows = plan(7, 100, Amounts(long_stops=5), SERVERS, 45)
    begun = sorted(b.at for b in blows if b.kind == "stop")
    over = sorted(b.at for b in blows if b.kind == "go on")
    assert all(last - first > 45 for first, last in zip(begun, over, strict=True))


def test_a_database_in_a_file_is_left_alone() -> None:
    blows = plan(7, 100, AMOUNTS, frozenset({"provider"}), 45)
    assert {b.target for b in blows if b.kind in ("restart", "flush", "misbehave")} == {"provider"}


def test_a_seed_asks_the_same_again() -> None:
    asked = list(operations(7, 50, ["a", "b"]))
    assert asked == list(operations(7, 50, ["a", "b"]))
    assert {each.how for each in asked} == {"now", "later", "stream", "cancelled"}
