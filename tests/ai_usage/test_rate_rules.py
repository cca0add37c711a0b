"""The arithmetic of rate limits, and that Redis' script knows the same."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ai_usage.domain import rates
from ai_usage.domain.rates import WHOLE, Ceiling, Owed, Standing, Unit, Want
from ai_usage.services import rate_script
from ai_usage.services.rate_rows import answered
from ai_usage.services.rate_script import Answer, Ask
from megahub.kernel import loop

MOMENT = 1_800_000_000_000
THEN = datetime(2027, 1, 1, tzinfo=UTC)


def ceiling(requests: int | None = 60, tokens: int | None = None, **fields: str) -> Ceiling:
    known = {"scope": "company", "scope_value": "", **fields}
    return Ceiling(1, known["scope"], known["scope_value"], requests, tokens, THEN)


def want(amount: int = 1, limit: int = 60, unit: Unit = "requests", number: int = 1) -> Want:
    return Want(replace(ceiling(limit), id=number), unit, limit, amount)


class TestBuckets:
    def test_it_works(self) -> None:
        """60 a minute: as many at once, and one more for each second."""
        owed = rates.emptied(None, 60, MOMENT)
        for _ in range(60):
            assert rates.has_room(owed, want())
            owed = rates.added(owed, 1)

        assert not rates.has_room(owed, want())
        assert not rates.has_room(rates.emptied(owed, 60, MOMENT + 999), want())
        assert rates.has_room(rates.emptied(owed, 60, MOMENT + 1000), want())
        assert rates.emptied(owed, 60, MOMENT + 60_000) == Owed(0, MOMENT + 60_000, MOMENT + 60_000)

    def test_a_clock_that_goes_back_gives_nothing(self) -> None:
        owed = rates.added(rates.emptied(None, 60, MOMENT), 60)

        assert rates.emptied(owed, 60, MOMENT - 5000) == owed

    def test_what_was_not_used_is_given_back_once(self) -> None:
        owed = rates.added(rates.emptied(None, 100, MOMENT), 90)

        assert rates.corrected(owed, -80, MOMENT).amount == 10 * WHOLE
        emptied = rates.emptied(owed, 100, MOMENT + 60_000)
        later = rates.added(emptied, 50)
        assert rates.corrected(later, -80, MOMENT) == later

    def test_what_was_used_beyond_is_owed(self) -> None:
        owed = rates.added(rates.emptied(None, 100, MOMENT), 90)

        beyond = rates.corrected(owed, 60, MOMENT)

        assert beyond.amount == 150 * WHOLE
        assert Standing(want(1, 100), beyond.amount).remaining == 0
        assert Standing(want(1, 100), beyond.amount).wait_ms == 51 * 600


def test_scopes() -> None:
    whole = ceiling()
    key = replace(ceiling(scope="api_key", scope_value="7"), id=2)
    model = replace(ceiling(5, 1000, scope="model", scope_value="gpt-4o"), id=3)

    def found(api_key_id: int | None, name: str | None) -> list[tuple[int, str, int]]:
        wants = rates.wants_of([model, whole, key], api_key_id, name, 30)
        return [(each.ceiling.id, each.unit, each.amount) for each in wants]

    assert found(7, "gpt-4o") == [
        (1, "requests", 1),
        (2, "requests", 1),
        (3, "requests", 1),
        (3, "tokens", 30),
    ]
    assert found(8, "gpt-4o-mini") == [(1, "requests", 1)]
    assert found(None, None) == [(1, "requests", 1)]


def test_tokens_are_estimated_by_the_text_and_the_maximum_that_is_named() -> None:
    assert rates.estimate({}, 401, 16_000) == 101
    assert rates.estimate({"max_tokens": 50}, 401, 50) == 151
    assert rates.estimate({"max_completion_tokens": 50, "n": 2}, 4, 100) == 101


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0ms"), (20, "20ms"), (1000, "1s"), (6500, "6.5s"), (60_000, "1m0s"), (360_000, "6m0s")],
)
def test_durations_are_written_as_openai_writes_them(milliseconds: int, text: str) -> None:
    assert rates.duration(milliseconds) == text


def test_headers_tell_of_the_tightest_bucket() -> None:
    wide, tight = Standing(want(1, 100), 10 * WHOLE), Standing(want(1, 20), 15 * WHOLE)
    tokens = Standing(want(300, 1000, "tokens"), 300 * WHOLE)

    assert rates.headers([wide, tight, tokens]) == {
        "X-RateLimit-Limit-Requests": "20",
        "X-RateLimit-Remaining-Requests": "5",
        "X-RateLimit-Reset-Requests": "45s",
        "X-RateLimit-Limit-Tokens": "1000",
        "X-RateLimit-Remaining-Tokens": "700",
        "X-RateLimit-Reset-Tokens": "18s",
    }


def test_a_refusal_is_about_the_longest_wait() -> None:
    error = rates.refusal([Standing(want(1, 100), 0), Standing(want(1, 20), 20 * WHOLE)])

    assert error.retry_after == 3.0
    assert error.text() == "Rate limit reached: 20 requests a minute, 0 left. Try again in 3 s."


def test_what_can_never_fit_is_not_asked_to_wait() -> None:
    error = rates.refusal([Standing(want(2000, 1000, "tokens"), 0)])

    assert error.retry_after is None
    assert "some 2000 tokens where 1000 a minute are allowed" in error.text()


STEPS = st.lists(
    st.tuples(
        st.integers(0, 70_000),
        st.booleans(),
        st.lists(st.tuples(st.integers(1, 3), st.integers(-400, 400)), min_size=1, max_size=3),
        st.integers(0, 70_000),
    ),
    max_size=12,
)
LIMITS = {1: 5, 2: 300, 3: rates.MOST}


@pytest.mark.skipif(not settings.REDIS_URL, reason="there is no Redis in this lane")
@examples(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_redis_counts_as_the_domain_does(steps: list[tuple[int, bool, list[tuple[int, int]], int]]) -> None:
    company = next(companies)
    owed: dict[tuple[int, Unit], Owed] = {}
    now = MOMENT
    try:
        for after, is_correction, amounts, before in steps:
            now += after
            wants = tuple(
                want(amount if is_correction else abs(amount), LIMITS[number], "tokens", number)
                for number, amount in dict(amounts).items()
            )
            ask = Ask(company, wants, now - before if is_correction else 0)
            rate_script.FROZEN_MS = now
            told: Answer = loop.run(rate_script.asked(ask))
            for each in wants:
                owed.setdefault(each.bucket, Owed(0, now, now))
            assert told == answered(owed, ask, now)
    finally:
        rate_script.FROZEN_MS = 0


#: Numbers that no other run has used: Redis may be kept.
companies = itertools.count(secrets.randbits(48))
