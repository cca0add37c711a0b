"""Whether and when a failed attempt is made again."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_core.domain.retry import may_move_on, may_retry, run_at
from megahub.kernel import errors
from megahub.kernel.errors import (
    HubError,
    InvalidApiKey,
    OutcomeUnknown,
    ProviderDisconnected,
    ProviderError,
    ProviderMalformed,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
RETRYABLE = {ProviderError, ProviderUnavailable, RateLimited}
UNKNOWN = {ProviderTimeout, ProviderDisconnected, ProviderMalformed, OutcomeUnknown}


class Always(random.Random):
    """The same share of the range each time."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.share


def wait(error: HubError, attempt_no: int = 1, share: float = 1.0) -> float:
    """The seconds until the next attempt."""
    return (run_at(error, attempt_no, NOW, Always(share)) - NOW).total_seconds()


def test_it_works() -> None:
    assert may_retry(ProviderUnavailable(provider="openai"), 1, 3, 0)
    assert wait(ProviderUnavailable(provider="openai")) == 2.0


@pytest.mark.parametrize("kind", errors.type_registry.values(), ids=lambda kind: kind.__name__)
def test_what_is_tried_again(kind: type[HubError]) -> None:
    """The whole tree: nothing of a client's making, and what has an unknown outcome only once."""
    if kind.__module__ != errors.__name__:
        return  # an error that another test made up
    expected = kind in RETRYABLE | UNKNOWN

    assert may_retry(kind(), 1, 3, 0) is expected
    assert may_retry(kind(), 1, 3, 1) is (kind in RETRYABLE)


@pytest.mark.parametrize(
    ("attempt_no", "most", "allowed"),
    [(1, 1, False), (1, 2, True), (2, 2, False), (2, 3, True), (9, 3, False)],
)
def test_number_of_attempts(attempt_no: int, most: int, allowed: bool) -> None:
    assert may_retry(RateLimited(), attempt_no, most, 0) is allowed


def test_an_unknown_outcome_is_repeated_once() -> None:
    """It may have been paid for; failures that were known before do not count."""
    error = ProviderTimeout(provider="openai")

    assert may_retry(error, 5, 9, 0)
    assert not may_retry(error, 5, 9, 1)
    assert not may_retry(error, 5, 9, 2)


@pytest.mark.parametrize("kind", [ProviderRefused, InvalidApiKey])
def test_refusals_are_final(kind: type[HubError]) -> None:
    assert not may_retry(kind(provider="openai"), 1, 9, 0)


@pytest.mark.parametrize(
    ("attempt_no", "longest"), [(1, 2.0), (2, 4.0), (3, 8.0), (5, 32.0), (6, 60.0), (7, 60.0), (300, 60.0)]
)
def test_backoff(attempt_no: int, longest: float) -> None:
    """Uniform between nothing and twice as long each time, a minute at most."""
    error = ProviderError(provider="openai")

    assert wait(error, attempt_no, share=0.0) == 0.0
    assert wait(error, attempt_no, share=0.5) == longest / 2
    assert wait(error, attempt_no, share=1.0) == longest


@pytest.mark.parametrize(
    ("retry_after", "share", "seconds"),
    [
        (None, 1.0, 2.0),
        (0.0, 1.0, 2.0),
        (1.0, 1.0, 2.0),
        (1.0, 0.0, 1.0),
        (30.0, 1.0, 30.0),
        (0.35, 0.0, 0.35),
        (3600.0, 1.0, 3600.0),
        (3601.0, 1.0, 3600.0),
        (86_400.0, 1.0, 3600.0),
        (1e300, 1.0, 3600.0),
        (float("inf"), 1.0, 3600.0),
    ],
)
def test_the_provider_is_heard(retry_after: float | None, share: float, seconds: float) -> None:
    """The later of its word and the backoff, an hour at most."""
    assert wait(RateLimited(retry_after=retry_after), share=share) == seconds


@given(st.none() | st.floats(0, allow_nan=False), st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_always_within_an_hour(retry_after: float | None, attempt_no: int, share: float) -> None:
    moment = run_at(RateLimited(retry_after=retry_after), attempt_no, NOW, Always(share))

    assert NOW <= moment <= NOW + timedelta(hours=1)
    assert moment >= NOW + timedelta(seconds=min(retry_after or 0, 3600))


def test_jitter_is_there_by_default() -> None:
    """So that those who failed together do not come back together."""
    assert len({run_at(RateLimited(), 6, NOW) for _ in range(20)}) > 1


def test_the_next_key_is_no_way_around_the_one_repeat() -> None:
    known, unknown = ProviderUnavailable(provider="openai"), ProviderTimeout(provider="openai")
    acts = {"tools": [{"type": "function"}, {"type": "mcp"}]}

    assert may_move_on(known, acts, 1)
    assert may_move_on(unknown, {"tools": [{"type": "function"}]}, 0)
    assert not may_move_on(unknown, {}, 1)
    assert not may_move_on(unknown, acts, 0)
    assert not may_move_on(InvalidApiKey(provider="openai"), {}, 0)
