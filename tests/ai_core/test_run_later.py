"""A job for a worker: accepted, rung for, claimed once, run, tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from ai_core import pipeline
from ai_core.models import AIJob, Attempt, ProviderGate
from ai_core.services import gates
from ai_providers import selectors as providers
from ai_providers.models import AIModel
from megahub.kernel import clock, loop
from megahub.kernel.errors import InvalidApiKey, ProviderDisconnected, ProviderError, RateLimited
from tests import world
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


def make_due(pk: int) -> None:
    """Let the job's moment come, and that of whatever its provider asked to wait for."""
    AIJob.objects.unscoped().filter(pk=pk).update(run_at=clock.now())
    ProviderGate.objects.filter(state="limited").delete()
    gates.refresh()


def test_it_works(cast: Cast, provider: Provider, rung: Rung) -> None:
    scripted = provider(completion())

    job = world.submit(cast.alice, later=True, priority="high")

    assert rung == [("ai_core.run_job", (job.pk,), "high")]
    row = world.row(job)
    assert (row.status, row.is_async, row.attempt_no, row.priority) == ("pending", True, 0, "high")
    assert scripted.calls == []
    loop.run(pipeline.work(job.pk))
    row = world.row(job)
    assert (row.status, row.attempt_no) == ("completed", 1)
    assert [entry.kind for entry in world.ledger(job)] == ["settle"]


def test_a_bell_that_rings_twice_runs_the_job_once(cast: Cast, provider: Provider, rung: Rung) -> None:
    scripted = provider(completion())
    job = world.submit(cast.alice, later=True)

    async def ring_often() -> list[Any]:
        return await asyncio.gather(*(pipeline.work(job.pk) for _ in range(50)))

    results = loop.run(ring_often())

    assert len(scripted.calls) == 1
    assert sum(result is not None for result in results) == 1
    assert len(world.ledger(job)) == 1


def test_the_same_input_is_run_as_was_checked(cast: Cast, provider: Provider, rung: Rung) -> None:
    scripted = provider(completion())
    job = world.submit(cast.alice, "Wie geht's?", later=True, params={"temperature": 0}, with_defaults=True)

    loop.run(pipeline.work(job.pk))

    (call, _, _) = scripted.calls[0]
    assert call.params == job.call.params
    assert call.params["temperature"] == 0
    assert call.params["max_tokens"] == 1000


def test_retry_after_becomes_a_date_in_the_row(cast: Cast, provider: Provider, rung: Rung) -> None:
    budget = world.make_budget(cast.company, "5")
    provider(RateLimited(retry_after=120, provider="openai"), completion())
    job = world.submit(cast.alice, later=True)
    before = clock.now()

    loop.run(pipeline.work(job.pk))

    row = world.row(job)
    assert (row.status, row.attempt_no, row.unknown_attempts) == ("pending", 1, 0)
    assert before + timedelta(seconds=120) <= row.run_at <= clock.now() + timedelta(seconds=121)
    window = world.window(budget)
    assert window is not None
    assert window.reserved == row.holds[0][2]
    assert world.ledger(job) == []
    # Too early: nothing happens, not even a claim.
    assert loop.run(pipeline.work(job.pk)) is None
    make_due(job.pk)
    loop.run(pipeline.work(job.pk))
    row = world.row(job)
    assert (row.status, row.attempt_no) == ("completed", 2)
    phases = Attempt.objects.filter(job=row).order_by("attempt_no").values_list("phase", flat=True)
    assert list(phases) == ["failed", "done"]
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, world.ledger(job)[0].charged_nano_usd)


def test_a_job_cancelled_while_its_call_fails_is_not_given_back(
    cast: Cast, provider: Provider, rung: Rung
) -> None:
    """Given back it would wait for ever: nobody claims what somebody wants to be cancelled."""
    budget = world.make_budget(cast.company, "5")
    job = world.submit(cast.alice, later=True)

    async def flagged(call: Any, access: Any) -> Any:
        rows = AIJob.objects.unscoped().filter(pk=job.pk)
        await loop.in_thread(rows.update, cancel_requested_at=clock.now())
        return RateLimited(provider="openai")

    provider(flagged)
    loop.run(pipeline.work(job.pk))

    row = world.row(job)
    assert (row.status, row.error["code"]) == ("cancelled", "JOB_CANCELLED")
    assert [entry.kind for entry in world.ledger(job)] == ["void"]
    window = world.window(budget)
    assert window is not None
    assert window.reserved == 0


def test_a_job_that_cannot_be_opened_is_given_back(
    cast: Cast, provider: Provider, rung: Rung, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The database goes away between the claim and what the job needs of it."""
    settings.HUB_JOB_MAX_ATTEMPTS = 2
    scripted = provider(completion())
    job = world.submit(cast.alice, later=True)

    async def away(*_: Any) -> Any:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(pipeline.providers, "terms", away)
    assert loop.run(pipeline.work(job.pk)) is None
    row = world.row(job)
    assert (row.status, row.attempt_no) == ("pending", 1)
    assert world.ledger(job) == []

    make_due(job.pk)
    assert loop.run(pipeline.work(job.pk)) is None
    row = world.row(job)
    assert (row.status, row.error["code"]) == ("failed", "INTERNAL_ERROR")
    assert [entry.kind for entry in world.ledger(job)] == ["void"]
    assert scripted.calls == []


def test_attempts_are_bounded(cast: Cast, provider: Provider, rung: Rung, settings: Any) -> None:
    settings.HUB_JOB_MAX_ATTEMPTS = 3
    scripted = provider(ProviderError(provider="openai"))
    job = world.submit(cast.alice, later=True)

    for _ in range(5):
        make_due(job.pk)
        loop.run(pipeline.work(job.pk))

    assert len(scripted.calls) == 3
    row = world.row(job)
    assert (row.status, row.error["code"]) == ("failed", "PROVIDER_ERROR")
    assert [entry.kind for entry in world.ledger(job)] == ["void"]


def test_a_call_of_unknown_outcome_is_repeated_once(cast: Cast, provider: Provider, rung: Rung) -> None:
    scripted = provider(ProviderDisconnected(provider="openai"))
    job = world.submit(cast.alice, later=True)

    for _ in range(4):
        make_due(job.pk)
        loop.run(pipeline.work(job.pk))

    assert len(scripted.calls) == 2
    assert world.row(job).status == "failed"
    phases = Attempt.objects.filter(job_id=job.pk).values_list("phase", flat=True)
    assert list(phases) == ["unknown", "unknown"]


def test_what_another_attempt_cannot_mend_is_not_tried_again(
    cast: Cast, provider: Provider, rung: Rung
) -> None:
    scripted = provider(InvalidApiKey(provider="openai"))
    job = world.submit(cast.alice, later=True)

    loop.run(pipeline.work(job.pk))

    assert len(scripted.calls) == 1
    assert world.row(job).status == "failed"


def test_a_job_whose_model_was_blocked_meanwhile_fails_with_that(
    cast: Cast, provider: Provider, rung: Rung
) -> None:
    budget = world.make_budget(cast.company, "5")
    scripted = provider(completion())
    job = world.submit(cast.alice, later=True, model="gpt-4.1-mini")
    AIModel.objects.create(model_id="gpt-4.1-mini", is_blocked=True)
    providers.forget()
    try:
        loop.run(pipeline.work(job.pk))
    finally:
        AIModel.objects.filter(model_id="gpt-4.1-mini").delete()
        providers.forget()

    assert scripted.calls == []
    row = world.row(job)
    assert (row.status, row.error["code"]) == ("failed", "MODEL_BLOCKED")
    assert [entry.kind for entry in world.ledger(job)] == ["void"]
    window = world.window(budget)
    assert window is not None
    assert window.reserved == 0
