"""Requirement 21: no request makes a company pay more than it allowed, however it asks.

Ten thousand tiny jobs at once are tried by 200 in tests/ai_usage/test_budgets.py; companies that wait for
each other in tests/ai_core/test_turns.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core.models import AIJob
from tests import world
from tests.ai_core.test_cancel import wait_until
from tests.conftest import CLIENT, Api
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast

DOORS = ["/v1/chat/completions", "/ai/openai/chat/"]
SAID = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
CENT = 10_000_000
GREEDY: dict[str, dict[str, Any]] = {
    "max_tokens huge": {"max_tokens": 10**9},
    "max_tokens beyond 64 bits": {"max_tokens": 10**30},
    "max_tokens negative": {"max_tokens": -1},
    "max_tokens zero": {"max_tokens": 0},
    "max_tokens a text": {"max_tokens": "1e9"},
    "max_tokens infinite": {"max_tokens": 1e308},
    "n": {"n": 10**6},
    "n negative": {"n": -1},
    "top_logprobs": {"logprobs": True, "top_logprobs": 10**6},
    "tools": {"tools": [{"type": "function", "function": {"name": f"f{n}"}} for n in range(1_000)]},
    "stop": {"stop": ["x"] * 1_000},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", GREEDY)
def test_what_is_out_of_all_measure_is_refused_before_it_is_a_job(
    api: Api, cast: Cast, provider: Callable[..., Scripted], door: str, name: str
) -> None:
    scripted = provider(completion())

    answer = api.as_(cast.alice).post(door, {**SAID, **GREEDY[name]})

    assert answer.status_code == 400
    assert scripted.calls == []
    assert not AIJob.objects.of(cast.company.pk).exists()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("asked", [{}, {"n": 8}, {"max_tokens": 16_384}])
def test_what_may_cost_too_much_is_not_begun(
    api: Api, cast: Cast, provider: Callable[..., Scripted], door: str, asked: dict[str, Any]
) -> None:
    """Without a limit of its own a request is taken for the most that it may become."""
    scripted = provider(completion())
    budget = world.make_budget(cast.company, limit=1)  # a nano-dollar

    answer = api.as_(cast.alice).post(door, {**SAID, **asked})

    assert answer.status_code in (403, 429)
    assert scripted.calls == []
    window = world.window(budget)
    assert window is None or (window.reserved, window.spent) == (0, 0)


def test_a_stream_that_is_left_is_paid_and_no_more(
    api: Api, cast: Cast, provider: Callable[..., Scripted]
) -> None:
    budget = world.make_budget(cast.company, limit=100 * CENT)
    provider(*[[chunk("word ") for _ in range(50)] + [0.2, chunk("last")] for _ in range(3)])

    for _ in range(3):
        with reading(api.as_(cast.alice)) as response:
            next(response.iter_text())
    wait_until(lambda: not AIJob.objects.of(cast.company.pk).filter(status="running").exists())

    window = world.window(budget)
    assert window is not None
    charged = sum(
        entry.charged_nano_usd
        for job in AIJob.objects.of(cast.company.pk)
        for entry in world.ledger(job.pk)
    )
    assert (window.reserved, window.spent) == (0, charged)
    assert 0 < charged <= 100 * CENT


def reading(api: Api) -> Any:
    """An answer that is read as it comes."""
    return CLIENT.stream("POST", api.url + DOORS[0], json={**SAID, "stream": True}, headers=api.headers)
