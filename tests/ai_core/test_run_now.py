"""A job that is run while its caller waits: what is written, in which order, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import Attempt
from megahub.kernel import errors, loop
from megahub.kernel.errors import InvalidApiKey, ProviderRefused, ProviderTimeout, RateLimited
from tests import world
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]


def test_it_works(cast: Cast, provider: Provider) -> None:
    budget = world.make_budget(cast.company, "5")
    provider(completion("Hi.", prompt=100, output=50))

    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))

    row = world.row(job)
    assert (row.status, row.progress_percentage, row.attempt_no) == ("completed", 100, 1)
    assert row.response["choices"][0]["message"]["content"] == "Hi."
    assert row.deadline_at is None
    assert row.completed_at is not None
    (attempt,) = Attempt.objects.filter(job=row)
    assert (attempt.phase, attempt.source, attempt.provider_ref) == ("done", "sandbox", "chatcmpl-stub")
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.input_tokens, entry.output_tokens) == ("settle", 100, 50)
    # 100 in at 0.15 USD and 50 out at 0.60 USD per million.
    assert entry.cost_nano_usd == entry.charged_nano_usd == 100 * 150 + 50 * 600
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, entry.charged_nano_usd)
    assert entry.reserved_nano_usd == row.holds[0][2] > entry.charged_nano_usd


def test_everything_is_committed_before_the_provider_is_called(cast: Cast, provider: Provider) -> None:
    budget = world.make_budget(cast.company, "5")
    seen: dict[str, Any] = {}

    async def look(*_: Any) -> Any:
        def read() -> None:
            row = world.row(seen["job"])
            seen["status"] = (row.status, row.attempt_no)
            seen["phase"] = Attempt.objects.get(job=row).phase
            window = world.window(budget)
            seen["reserved"] = window.reserved if window else None

        await loop.in_thread(read)
        return completion()

    provider(look)
    job = seen["job"] = world.submit(cast.alice)
    loop.run(pipeline.run(job))

    assert seen["status"] == ("running", 1)
    assert seen["phase"] == "calling"
    assert seen["reserved"] == world.row(job).holds[0][2]


def test_the_provider_is_told_the_attempt(cast: Cast, provider: Provider) -> None:
    scripted = provider(completion())

    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))

    assert [request_id for _, _, request_id in scripted.calls] == [f"{job.job_ref}-1"]


@pytest.mark.parametrize(
    ("error", "status", "phase"),
    [
        (RateLimited(retry_after=3, provider="openai"), "failed", "failed"),
        (InvalidApiKey(provider="openai"), "failed", "failed"),
        (ProviderRefused(provider="openai", words={"reason": "no"}), "failed", "failed"),
        (ProviderTimeout(provider="openai"), "timeout", "unknown"),
    ],
)
def test_a_failure_ends_the_job_and_gives_everything_back(
    cast: Cast, provider: Provider, error: Any, status: str, phase: str
) -> None:
    budget = world.make_budget(cast.company, "5")
    provider(error)

    job = world.submit(cast.alice)
    with pytest.raises(type(error)):
        loop.run(pipeline.run(job))

    row = world.row(job)
    assert (row.status, row.error["code"]) == (status, error.code)
    assert errors.restore(row.error).text() == error.text()
    (attempt,) = Attempt.objects.filter(job=row)
    assert (attempt.phase, attempt.error_code) == (phase, error.code)
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.cost_nano_usd, entry.charged_nano_usd) == ("void", 0, 0)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, 0)


def test_an_unexpected_failure_says_nothing_of_the_inside(cast: Cast, provider: Provider) -> None:
    provider(ZeroDivisionError("sk-canary-secret"))

    job = world.submit(cast.alice)
    with pytest.raises(Exception, match="An internal error occurred"):
        loop.run(pipeline.run(job))

    assert world.row(job).error == {
        "type": "ServerError",
        "status": 500,
        "code": "INTERNAL_ERROR",
        "message": "An internal error occurred.",
    }
    assert world.ledger(job)[0].kind == "void"


def test_a_deadline_ends_a_call_that_hangs(cast: Cast, provider: Provider, settings: Any) -> None:
    settings.HUB_JOB_DEADLINE_SECONDS = 0.05
    provider([5.0])

    job = world.submit(cast.alice, params={"stream": True})
    with pytest.raises(ProviderTimeout):
        loop.run(pipeline.run(job))

    assert world.row(job).status == "timeout"


def test_sandbox_and_real_spending_have_windows_of_their_own(cast: Cast, provider: Provider) -> None:
    budget = world.make_budget(cast.company, "5")
    provider(completion())

    loop.run(pipeline.run(world.submit(cast.alice)))

    assert world.window(budget, sandbox=True) is not None
    assert world.window(budget, sandbox=False) is None
