"""A provider that keeps answers is asked for those that were never heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import Attempt
from ai_core.services import reconciling, recovery
from ai_core.services.job import Job
from ai_providers.adapters.openai import OpenAI
from ai_providers.adapters.registry import ADAPTERS
from megahub.kernel import loop
from megahub.kernel.errors import ProviderError
from tests import world
from tests.ai_core.test_recovery import claimed_by, dead_session, job_holds, open_exposures
from tests.world import Cast

Rung = list[tuple[str, tuple[Any, ...], str]]


def lost(cast: Cast, **params: Any) -> Job:
    """A job whose process is dead; what it was about to call under which name."""
    job = world.submit(cast.alice, later=True, params=params)
    return loop.run(pipeline.reopen(claimed_by(dead_session(), job.pk)))


def call(job: Job) -> None:
    """What the process did before it died: the provider answered, and nobody heard."""

    async def unheard() -> None:
        (access,) = job.terms.accesses
        name = f"{job.job_ref}-{job.attempt_no}"
        async for _ in ADAPTERS["openai"].stream(job.call, access, job.terms.spec, name):
            pass

    loop.run(unheard())


def deaf(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    async def stored(*_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(OpenAI, "stored", stored)


def test_it_works(cast: Cast, rung: Rung) -> None:
    budget = world.make_budget(cast.company, "5")
    job = lost(cast, store=True, metadata={"own": "x"})
    call(job)

    recovery.reap()

    row = world.row(job)
    assert (row.status, row.attempt_no, row.unknown_attempts) == ("completed", 1, 0)
    said = row.response["choices"][0]["message"]["content"]
    assert said.startswith("[sandbox] gpt-4o-mini echoes: Say hello.")
    attempt = Attempt.objects.get(job=row)
    assert (attempt.phase, attempt.source) == ("done", "sandbox")
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.is_estimated) == ("settle", False)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent, window.unknown_exposure) == (0, entry.charged_nano_usd, 0)


def test_what_nobody_asked_to_keep_is_not_asked_for(
    cast: Cast, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch, AssertionError("it was asked"))
    job = lost(cast)
    call(job)

    recovery.reap()

    assert (world.row(job).status, world.row(job).unknown_attempts) == ("pending", 1)


@pytest.mark.parametrize("answer", [None, ProviderError(provider="openai")])
def test_what_is_found_only_later_is_a_late_cost(
    cast: Cast, rung: Rung, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    budget = world.make_budget(cast.company, "5")
    job = lost(cast, store=True)
    with monkeypatch.context() as patched:
        deaf(patched, answer)
        recovery.reap()
        assert reconciling.look_again() == 0
    assert (world.row(job).status, open_exposures(job.pk)) == ("pending", [""])
    call(job)

    assert reconciling.look_again() == 1

    assert (world.row(job).status, open_exposures(job.pk)) == ("pending", ["late"])
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.attempt_no) == ("late", 1)
    window = world.window(budget)
    assert window is not None
    held = job_holds(world.row(job))
    assert (window.reserved, window.spent, window.unknown_exposure) == (held, entry.charged_nano_usd, 0)
    assert reconciling.look_again() == 0


def test_providers_are_asked_side_by_side(cast: Cast, rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty providers that do not answer must not stop the reaper for fifty times ten seconds."""
    both, asked = asyncio.Event(), []

    async def stored(*what: Any) -> Any:
        asked.append(what[-1])
        if len(asked) == 2:
            both.set()
        await both.wait()
        if len(asked) == 2 and what[-1] == asked[0]:
            raise RuntimeError("broken")  # and it is the other's matter no more than its own

    monkeypatch.setattr(OpenAI, "stored", stored)
    jobs = [lost(cast, store=True) for _ in range(2)]

    recovery.reap()

    assert len(asked) == 2
    assert [world.row(job).status for job in jobs] == ["pending", "pending"]


def test_a_request_that_has_all_its_metadata_bears_no_name(cast: Cast, rung: Rung) -> None:
    job = lost(cast, store=True, metadata={str(number): "x" for number in range(16)})
    call(job)

    recovery.reap()

    assert (world.row(job).status, world.row(job).unknown_attempts) == ("pending", 1)
