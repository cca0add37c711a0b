"""Who may ask how often: a company's rate limits, remembered for seconds, and what requests take of them.

Without a limit nothing is asked of anybody. Redis counts where there is one; while it does not answer, and
where there is none, rows of the database do, from empty buckets on (``rate_rows.py``): inference goes on,
with its limits. Sign-ins are counted in rows always (``megahub/tenancy/throttles.py``).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from ai_usage.domain import rates
from ai_usage.domain.rates import Ceiling, Standing
from ai_usage.models import RateLimit
from ai_usage.services.rate_rows import TAKE_RATES
from ai_usage.services.rate_script import GONE, Answer, Ask, asked, wire
from megahub.kernel import journal
from megahub.kernel.cache import ShortLived
from megahub.kernel.errors import Busy, DatabaseUnavailable
from megahub.tenancy.selectors import Caller

log = logging.getLogger(__name__)

TTL_SECONDS = 5.0
#: How long rows count after Redis did not answer, before it is asked again.
REST_SECONDS = 10.0

_redis_rests_until = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request was let in with, to be put right when it is known what it used."""

    ask: Ask
    at_ms: int
    standings: tuple[Standing, ...]


def headers(taken: Taken | None) -> dict[str, str]:
    """What an answer tells of its limits; nothing where there are none."""
    return rates.headers(taken.standings) if taken is not None else {}


async def limits(company_id: int) -> tuple[Ceiling, ...]:
    """The active rate limits of a company."""
    return await _ceilings.aget(company_id)


async def take(caller: Caller, model: str | None, tokens: int) -> Taken | None:
    """Let a request in; None where nothing limits it. Raises RateLimited."""
    ceilings = await limits(caller.company_id)
    if not ceilings:
        return None
    wants = rates.wants_of(ceilings, caller.api_key_id, model, tokens)
    if not wants:
        return None
    ask = Ask(caller.company_id, wants)
    answer = await _asked(ask)
    if not answer.is_in:
        raise rates.refusal(answer.standings)
    return Taken(ask, answer.at_ms, answer.standings)


def put_right(taken: Taken, tokens: int) -> None:
    """Correct what a request took, now that it is known how many tokens it used. Nobody waits for it."""
    wants = tuple(
        replace(want, amount=tokens - want.amount)
        for want in taken.ask.wants
        if want.unit == "tokens" and want.amount != tokens
    )
    if wants:
        _send(Ask(taken.ask.company_id, wants, since_ms=max(1, taken.at_ms)))


async def taken_before(caller: Caller, model: str, tokens: int, accepted_ms: int) -> Taken | None:
    """What a job that was accepted elsewhere has taken; without limits that were changed since."""
    ceilings = await limits(caller.company_id)
    same = [each for each in ceilings if each.changed_at.timestamp() * 1000 < accepted_ms]
    wants = rates.wants_of(same, caller.api_key_id, model, tokens)
    return Taken(Ask(caller.company_id, wants), accepted_ms, ()) if wants else None


def forget() -> None:
    """Forget all rate limits of this process (after one was changed)."""
    _ceilings.forget()


def _redis_counts() -> bool:
    return bool(settings.REDIS_URL) and time.monotonic() >= _redis_rests_until


def _rest(error: BaseException) -> None:
    global _redis_rests_until
    if _redis_counts():
        log.warning("Redis does not answer (%s): rate limits are counted in rows", type(error).__name__)
    _redis_rests_until = time.monotonic() + REST_SECONDS


async def _asked(ask: Ask) -> Answer:
    if _redis_counts():
        try:
            return await asked(ask)
        except GONE as error:
            _rest(error)
    answer: Answer = await journal.write(TAKE_RATES, ask)
    return answer


def _send(ask: Ask) -> None:
    if _redis_counts():
        wire().put(ask).add_done_callback(_look)
        return
    try:
        journal.submit(TAKE_RATES, ask).add_done_callback(_look)
    except Busy as error:
        log.info("a rate limit was not put right: %s", error)


def _look(done: Any) -> None:
    """Whatever became of a correction, its bucket empties within a minute."""
    error = None if done.cancelled() else done.exception()
    if isinstance(error, GONE):
        _rest(error)
    elif error is not None and not isinstance(error, DatabaseUnavailable):
        log.error("a rate limit was not put right", exc_info=error)


def _load(company_id: int) -> tuple[Ceiling, ...]:
    rows = RateLimit.objects.of(company_id).filter(is_active=True).order_by("id")
    return tuple(
        Ceiling(r.pk, r.scope, r.scope_value, r.requests_per_minute, r.tokens_per_minute, r.changed_at)
        for r in rows
        if r.requests_per_minute is not None or r.tokens_per_minute is not None
    )


_ceilings: ShortLived[int, tuple[Ceiling, ...]] = ShortLived(_load, TTL_SECONDS)
