"""Rate limits: how many requests and tokens a minute, as buckets that empty at an even pace.

What a bucket owes shrinks by its limit each minute; a request is let in while what it adds still fits. All
numbers are whole: what is owed is counted in sixty-thousandths of a request or token, so that each
millisecond takes away exactly ``limit`` of them. The same arithmetic stands in Lua in
``services/rate_script.py``; a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from megahub.kernel.errors import RateLimited

Unit = Literal["requests", "tokens"]
UNITS: tuple[Unit, ...] = ("requests", "tokens")
#: A whole one in the unit of what is owed: milliseconds of a minute.
WHOLE = 60_000
#: The greatest limit: what it owes stays an exact number in Lua, too.
MOST = 1_000_000_000
#: Bytes of a text that make a token, roughly; what was used is known and put right when a job ends.
BYTES_OF_A_TOKEN = 4
MOST_TOKEN_NAMES = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A company's rate limit, as remembered by processes; None: no limit of that unit."""

    id: int
    scope: str
    scope_value: str
    requests: int | None
    tokens: int | None
    changed_at: datetime

    def matches(self, api_key_id: int | None, model: str | None) -> bool:
        """Whether a request by this key to this model (None: to none in particular) counts."""
        if self.scope == "company":
            return True
        own = api_key_id if self.scope == "api_key" else model
        return own is not None and str(own) == self.scope_value


@dataclass(frozen=True, slots=True)
class Want:
    """How much of which bucket a request asks for; what a correction adds (or takes away)."""

    ceiling: Ceiling
    unit: Unit
    limit: int
    amount: int

    @property
    def bucket(self) -> tuple[int, Unit]:
        return self.ceiling.id, self.unit


@dataclass(frozen=True, slots=True)
class Owed:
    """A bucket: what it owes since ``at_ms``, and when it was last seen to owe nothing."""

    amount: int
    at_ms: int
    empty_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A bucket right after a request was let in or refused: ``owed`` is what it owes by then."""

    want: Want
    owed: int

    @property
    def remaining(self) -> int:
        return max(0, (self.want.limit * WHOLE - self.owed) // WHOLE)

    @property
    def reset_ms(self) -> int:
        """In how long the bucket will owe nothing."""
        return -(-self.owed // self.want.limit)

    @property
    def wait_ms(self) -> int:
        """In how long there will be room for what is wanted; 0: there is."""
        over = self.owed + self.want.amount * WHOLE - self.want.limit * WHOLE
        return max(0, -(-over // self.want.limit))


def wants_of(
    ceilings: Sequence[Ceiling], api_key_id: int | None, model: str | None, tokens: int
) -> tuple[Want, ...]:
    """What a request asks for of each bucket that it counts against; in the order of their numbers."""
    found: list[Want] = []
    for ceiling in sorted(ceilings, key=lambda each: each.id):
        if not ceiling.matches(api_key_id, model):
            continue
        if ceiling.requests is not None:
            found.append(Want(ceiling, "requests", ceiling.requests, 1))
        if ceiling.tokens is not None:
            found.append(Want(ceiling, "tokens", ceiling.tokens, tokens))
    return tuple(found)


def estimate(params: Mapping[str, object], input_bound: int, output_bound: int) -> int:
    """The tokens that a request is let in with: its text's, and the most that it asks for itself.

    Without a maximum of its own only its text is counted: a model's longest answer would shut small
    limits for good. What was used is put right when the job ends.
    """
    named = any(params.get(name) for name in MOST_TOKEN_NAMES)
    return -(-input_bound // BYTES_OF_A_TOKEN) + (output_bound if named else 0)


def emptied(owed: Owed | None, limit: int, now_ms: int) -> Owed:
    """A bucket as it is now; one that is not known owes nothing."""
    if owed is None:
        return Owed(0, now_ms, now_ms)
    now_ms = max(now_ms, owed.at_ms)
    left = owed.amount - limit * (now_ms - owed.at_ms)
    return Owed(left, now_ms, owed.empty_ms) if left > 0 else Owed(0, now_ms, now_ms)


def has_room(owed: Owed, want: Want) -> bool:
    """Whether what is wanted still fits."""
    return owed.amount + want.amount * WHOLE <= want.limit * WHOLE


def added(owed: Owed, amount: int) -> Owed:
    """The bucket with so many more."""
    return Owed(owed.amount + amount * WHOLE, owed.at_ms, owed.empty_ms)


def corrected(owed: Owed, amount: int, since_ms: int) -> Owed:
    """The bucket with so many more, or fewer, of what was let in at ``since_ms``.

    What a bucket that was empty since then has taken away already is not given back once more.
    """
    if amount < 0 and owed.empty_ms > since_ms:
        return owed
    return Owed(max(0, owed.amount + amount * WHOLE), owed.at_ms, owed.empty_ms)


def refusal(standings: Sequence[Standing]) -> RateLimited:
    """The error for a request that was not let in: about the bucket that it has to wait for longest."""
    worst = max(standings, key=lambda each: each.wait_ms)
    want = worst.want
    facts: dict[str, Any] = {
        "scope": want.ceiling.scope,
        "unit": want.unit,
        "limit": want.limit,
        "remaining": worst.remaining,
        "requested": want.amount,
    }
    if want.unit == "requests":
        error = RateLimited(
            "Rate limit reached: {limit} requests a minute, {remaining} left. Try again in {seconds} s.",
            retry_after=worst.wait_ms / 1000,
            words={"seconds": -(-worst.wait_ms // 1000)},
            **facts,
        )
    elif want.amount > want.limit:
        error = RateLimited(
            "The request is too large: some {requested} tokens where {limit} a minute are allowed. Shorten"
            " it, or lower its maximum of output tokens.",
            **facts,
        )
    else:
        error = RateLimited(
            "Rate limit reached: {limit} tokens a minute, {remaining} left, some {requested} asked for."
            " Try again in {seconds} s.",
            retry_after=worst.wait_ms / 1000,
            words={"seconds": -(-worst.wait_ms // 1000)},
            **facts,
        )
    error.headers = headers(standings)
    return error


def headers(standings: Sequence[Standing]) -> dict[str, str]:
    """``X-RateLimit-*`` of the tightest bucket of each unit, as OpenAI names and writes them.

    Source: reference/openai-rest.md, "Headers de rate limit".
    """
    found: dict[str, str] = {}
    for unit in UNITS:
        own = [each for each in standings if each.want.unit == unit]
        if not own:
            continue
        tightest = min(own, key=lambda each: (each.remaining, each.want.limit))
        found[f"X-RateLimit-Limit-{unit.title()}"] = str(tightest.want.limit)
        found[f"X-RateLimit-Remaining-{unit.title()}"] = str(tightest.remaining)
        found[f"X-RateLimit-Reset-{unit.title()}"] = duration(tightest.reset_ms)
    return found


def duration(milliseconds: int) -> str:
    """``20ms``, ``6s``, ``6.5s``, ``1m0s``."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds
