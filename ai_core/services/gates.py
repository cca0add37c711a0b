"""The gate before each call: a credential that was told to wait, a way that fails, too many repeats.

What is shut is a row (``ProviderGate``), so that every process sees it; each remembers the rows and
reads them again every second in which it runs jobs. A call asks what is remembered: nothing on the
hot lane waits for a database. Rows are written only when a gate shuts, is probed or opens.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

from django.conf import settings
from django.db import DatabaseError

from ai_core.domain import gates
from ai_core.domain.gates import Health, RetryBudget
from ai_core.models import ProviderGate
from ai_providers.domain.wire import Access
from megahub.kernel import clock, loop
from megahub.kernel.errors import HubError, ProviderError, ProviderUnavailable, RateLimited

log = logging.getLogger(__name__)

#: A probe that has not come back after this long is made again, by whoever comes next.
PROBE_SECONDS = 30.0
#: Those who wait come back within this long of the moment, not all at once.
SPREAD_SECONDS = 4.0
SOON_SECONDS = 1.0
RETRY_SECONDS = 10.0
#: A 429 that does not say how long.
PAUSE_SECONDS = 1.0
KEPT = timedelta(hours=1)
RESTS = "{provider} has failed too often lately; it is tried again in a moment."


class Asking(Protocol):
    """Who wants to call: a job, or what is like one."""

    @property
    def company_id(self) -> int: ...

    @property
    def model(self) -> str: ...

    @property
    def is_async(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Shut:
    """A gate's row as a process remembers it."""

    state: str
    until: datetime
    hold_seconds: float


class Refused(Exception):
    """No call now: what to tell who cannot wait, and when to come back."""

    def __init__(self, error: HubError, seconds: float) -> None:
        super().__init__(str(error))
        self.error = error
        self.until = clock.now() + timedelta(seconds=seconds + _spread.uniform(0, SPREAD_SECONDS))


_spread = random.SystemRandom()
_shut: dict[str, Shut] = {}
_health: dict[str, Health] = {}
_budgets: dict[str, RetryBudget] = {}


def way_of(job: Asking, access: Access) -> str:
    """Whose credential to which provider; the sandbox is every company's own."""
    owner = 0 if access.source == "global" else access.credentials_id or job.company_id
    return f"{access.source}:{owner}|{access.provider}"


async def enter(job: Asking, access: Access, *, again: bool) -> Pass:
    """Leave to call; ``again`` for a repeat. Raises Refused. Without a shut gate nothing is awaited."""
    way = way_of(job, access)
    key = f"{way}|{job.model}"
    probes = False
    if _shut:
        _respect_limit(way, access)
        probes = await _respect_breaker(key, access)
    health = _health.get(key)
    if health is None:
        health = _health[key] = Health()
    now = time.monotonic()
    if job.is_async and not probes and not health.has_room(now):
        raise Refused(_rests(access, SOON_SECONDS), SOON_SECONDS)
    budget = _budgets.get(access.provider)
    if budget is None:
        budget = _budgets[access.provider] = RetryBudget(settings.HUB_RETRY_SHARE, now)
    if again and not probes and not budget.take(now):
        raise Refused(_rests(access, RETRY_SECONDS), RETRY_SECONDS)
    return Pass(way, key, health, budget, probes)


def most(job: Asking, access: Access) -> int:
    """How many calls at once this process trusts a way with: who takes more at a time is refused some."""
    health = _health.get(f"{way_of(job, access)}|{job.model}")
    return gates.FIRST_CALLS if health is None else health.most(time.monotonic())


class Pass:
    """A call that was let through; how it ends tells of the way that it took."""

    __slots__ = ("budget", "excuses", "health", "key", "probes", "way")

    def __init__(self, way: str, key: str, health: Health, budget: RetryBudget, probes: bool) -> None:
        self.way = way
        self.key = key
        self.health = health
        self.budget = budget
        self.probes = probes
        #: Whether the failure of this call is the way's, and no attempt of its job's.
        self.excuses = False

    async def __aenter__(self) -> None:
        self.health.in_flight += 1
        self.budget.called()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.health.in_flight -= 1
        now = time.monotonic()
        if isinstance(error, ProviderError):
            self.health.failed(now, unreached=isinstance(error, ProviderUnavailable))
            if self.probes or (self.key not in _shut and self.health.is_bad(now)):
                await _written(_trip, self.key, _close(self.key, self.probes), self.probes)
            self.excuses = not error.outcome_unknown and self.key in _shut
            return
        if error is not None and not isinstance(error, HubError):
            return  # cancelled, or our own fault: nothing was learnt of the provider
        self.health.answered(now)
        if self.probes:
            self.health.recovered()
            await _written(_open, self.key)
        if isinstance(error, RateLimited):
            await _written(_limit, self.way, error.retry_after or PAUSE_SECONDS)


def refresh() -> None:
    """Read the gates again; from a thread."""
    found = {
        row.key: Shut(row.state, row.shut_until, row.hold_seconds) for row in ProviderGate.objects.all()
    }
    for key in _shut.keys() - found.keys():
        if (health := _health.get(key)) is not None:
            health.recovered()
    _shut.clear()
    _shut.update(found)


def forget_old() -> None:
    """Rows of limits that are long over."""
    ProviderGate.objects.filter(state="limited", shut_until__lt=clock.now() - KEPT).delete()


def _respect_limit(way: str, access: Access) -> None:
    limit = _shut.get(way)
    left = _left(limit)
    if left > 0:
        raise Refused(RateLimited(retry_after=left, provider=access.provider), left)


async def _respect_breaker(key: str, access: Access) -> bool:
    """Whether this call is the probe of a shut gate."""
    shut = _shut.get(key)
    if shut is None:
        return False
    left = _left(shut)
    if left > 0 or not await _written(_take_probe, key, shut):
        left = SOON_SECONDS if shut.state == "probed" or left <= 0 else left
        raise Refused(_rests(access, left), left)
    return True


def _rests(access: Access, seconds: float) -> HubError:
    return ProviderUnavailable(RESTS, retry_after=seconds, provider=access.provider)


def _left(shut: Shut | None) -> float:
    return 0.0 if shut is None else (shut.until - clock.now()).total_seconds()


async def _written(change: Any, *what: Any) -> bool:
    """Change a row in a thread; without a database the process goes by what it knows itself."""
    try:
        return bool(await loop.in_thread(change, *what))
    except DatabaseError as error:
        log.warning("a gate could not be written: %s", error)
        return False


def _close(key: str, probed: bool) -> Shut:
    """Shut a way for this process at once, before its row is there; after a failed probe for longer."""
    known = _shut.get(key)
    first, most = settings.HUB_BREAKER_SECONDS, settings.HUB_BREAKER_MOST_SECONDS
    hold = gates.next_hold(known.hold_seconds if known and probed else 0.0, first, most)
    _shut[key] = shut = Shut("open", clock.now() + timedelta(seconds=hold), hold)
    log.warning("calls to %s rest for %.0f s", key, hold)
    return shut


def _trip(key: str, shut: Shut, probed: bool) -> bool:
    """Shut a way for every process. Whoever is first decides for how long."""
    facts = {"state": shut.state, "shut_until": shut.until, "hold_seconds": shut.hold_seconds}
    row, is_new = ProviderGate.objects.get_or_create(key=key, defaults=facts)
    if not is_new and probed:
        ProviderGate.objects.filter(pk=row.pk).update(**facts)
    elif not is_new:
        _shut[key] = Shut(row.state, row.shut_until, row.hold_seconds)
    return True


def _take_probe(key: str, seen: Shut) -> bool:
    """Be the one that tries a shut way again."""
    until = clock.now() + timedelta(seconds=PROBE_SECONDS)
    mine = ProviderGate.objects.filter(key=key, shut_until=seen.until)
    won = mine.update(state="probed", shut_until=until) == 1
    if won:
        _shut[key] = Shut("probed", until, seen.hold_seconds)
    else:
        refresh()
    return won


def _open(key: str) -> bool:
    _shut.pop(key, None)
    return ProviderGate.objects.filter(key=key).delete()[0] > 0


def _limit(way: str, seconds: float) -> bool:
    """Nobody calls with this credential for so long."""
    until = clock.now() + timedelta(seconds=min(seconds, KEPT.total_seconds()))
    known = _shut.get(way)
    if known is not None and known.until >= until:
        return True
    _shut[way] = Shut("limited", until, seconds)
    facts = {"state": "limited", "shut_until": until, "hold_seconds": seconds}
    ProviderGate.objects.update_or_create(key=way, defaults=facts)
    return True
