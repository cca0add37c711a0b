"""What goes wrong, and when: decided by a seed, so that a run can be played again. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "stop", "go on", "flush", "restart", "misbehave", "behave"]
Weather = Literal["reset", "black hole", "latency", "down"]
WEATHERS: tuple[Weather, ...] = ("reset", "black hole", "latency")

#: The hub's processes: which are killed how often, and which are stopped (SIGSTOP).
KILLED = {"web": 2, "worker": 3, "worker-2": 3, "beat": 2}
STOPPED = {"web": 1, "worker": 3, "worker-2": 3}
#: Nothing goes wrong in the first and in the last part of a run.
QUIET_BEFORE, QUIET_AFTER = 0.03, 0.05
WEATHER_SECONDS = (1.0, 6.0)
SHORT_STOP_SECONDS = (0.5, 4.0)
#: How much longer than a lease the long stops last.
BEYOND_LEASE_SECONDS = (3.0, 8.0)


@dataclass(frozen=True)
class Amounts:
    """How often each thing happens in a run. ``long_stops`` outlast the lease."""

    kills: int = 0
    stops: int = 0
    long_stops: int = 0
    flushes: int = 0
    broker_restarts: int = 0
    database_restarts: int = 0
    weathers: int = 0


@dataclass(frozen=True, order=True)
class Blow:
    """One thing that is done to the hub, ``at`` so many seconds after the callers began."""

    at: float
    kind: Kind
    target: str
    weather: Weather | None = None


def plan(
    seed: int, seconds: float, amounts: Amounts, servers: frozenset[str], lease_seconds: float
) -> list[Blow]:
    """The blows of a run in order of time. ``servers`` are those of broker, database and provider
    that can be had: a database in a file is neither restarted nor proxied.
    """
    chance = random.Random(seed)
    blows = [
        *_kills(chance, seconds, amounts.kills),
        *_stops(chance, seconds, amounts.stops, SHORT_STOP_SECONDS),
        *_stops(chance, seconds, amounts.long_stops, BEYOND_LEASE_SECONDS, lease_seconds),
    ]
    if "broker" in servers:
        blows += _at_random(chance, seconds, amounts.flushes, "flush", "broker")
        blows += _at_random(chance, seconds, amounts.broker_restarts, "restart", "broker")
    if "database" in servers:
        blows += _at_random(chance, seconds, amounts.database_restarts, "restart", "database")
    blows += _weathers(chance, seconds, amounts.weathers, sorted(servers))
    return sorted(blows)


def _moment(chance: random.Random, seconds: float) -> float:
    return round(chance.uniform(QUIET_BEFORE * seconds, (1 - QUIET_AFTER) * seconds), 2)


def _at_random(
    chance: random.Random, seconds: float, count: int, kind: Kind, target: str
) -> Iterator[Blow]:
    for _ in range(count):
        yield Blow(_moment(chance, seconds), kind, target)


def _kills(chance: random.Random, seconds: float, count: int) -> Iterator[Blow]:
    for target in chance.choices(list(KILLED), list(KILLED.values()), k=count):
        yield Blow(_moment(chance, seconds), "kill", target)


def _stops(
    chance: random.Random, seconds: float, count: int, lasts: tuple[float, float], more: float = 0.0
) -> Iterator[Blow]:
    for target in chance.choices(list(STOPPED), list(STOPPED.values()), k=count):
        at = _moment(chance, seconds)
        yield Blow(at, "stop", target)
        yield Blow(round(at + more + chance.uniform(*lasts), 2), "go on", target)


def _weathers(chance: random.Random, seconds: float, count: int, servers: list[str]) -> Iterator[Blow]:
    for number in range(count if servers else 0):
        at, server = _moment(chance, seconds), servers[number % len(servers)]
        yield Blow(at, "misbehave", server, chance.choice(WEATHERS))
        yield Blow(round(at + chance.uniform(*WEATHER_SECONDS), 2), "behave", server)
