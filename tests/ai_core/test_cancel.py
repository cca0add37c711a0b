"""Cancelling: a pending job at once, a running one as soon as its call is closed; the race."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import AIJob, Attempt
from ai_core.services.sessions import PROCESS
from megahub.kernel import clock, loop
from megahub.kernel.errors import JobCancelled
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


def test_it_works(api: Api, cast: Cast, rung: Rung) -> None:
    budget = world.make_budget(cast.company, "5")
    job = world.submit(cast.alice, later=True)

    response = api.as_(cast.alice).post(f"/ai/jobs/{job.pk}/cancel/")

    assert response.status_code == 200
    answer = response.json()
    row = world.row(job)
    assert answer["message"] == "Job cancelled successfully"
    assert answer["job"].pop("cancelled_at").startswith(str(clock.now().year))
    assert answer["job"] == {"id": job.pk, "job_id": job.job_ref, "status": "cancelled"}
    assert row.cancelled_at == row.completed_at
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.attempt_no, entry.charged_nano_usd) == ("void", 0, 0)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, 0)
    assert loop.run(pipeline.work(job.pk)) is None


def test_a_running_job_is_cancelled_and_pays_for_what_it_said(
    api: Api, cast: Cast, provider: Provider
) -> None:
    budget = world.make_budget(cast.company, "5")
    provider([chunk("Once upon "), chunk("a time"), 30.0, chunk(" never")])
    job = world.submit(cast.alice, params={"stream": True})
    running = loop.start(pipeline.run(job))
    wait_until(lambda: job.has_spoken)

    response = api.as_(cast.alice).post(f"/ai/jobs/{job.job_ref}/cancel/")

    assert response.status_code == 200
    with pytest.raises(JobCancelled):
        running.result(timeout=5)
    row = world.row(job)
    assert row.status == "cancelled"
    assert row.response["choices"][0]["message"]["content"] == "Once upon a time"
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.is_estimated, entry.output_tokens) == ("settle", True, 4)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, entry.charged_nano_usd)


def test_a_job_of_another_process_sees_the_flag(cast: Cast, provider: Provider) -> None:
    """The process looks every second for jobs of its own that are to be cancelled."""
    provider([30.0])
    job = world.submit(cast.alice, params={"stream": True})
    running = loop.start(pipeline.run(job))
    wait_until(lambda: job.pk in PROCESS.running)
    AIJob.objects.unscoped().filter(pk=job.pk).update(cancel_requested_at=clock.now())

    with pytest.raises(JobCancelled):
        running.result(timeout=5)

    assert world.row(job).status == "cancelled"
    assert Attempt.objects.get(job_id=job.pk).phase == "unknown"


def test_a_job_that_has_ended_cannot_be_cancelled(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))

    response = api.as_(cast.alice).post(f"/ai/jobs/{job.pk}/cancel/")

    assert response.status_code == 409
    assert response.json() == {
        "detail": "Job cannot be cancelled",
        "error": "Job cannot be cancelled",
        "error_code": "JOB_NOT_CANCELLABLE",
        "current_status": "completed",
    }
    assert world.row(job).status == "completed"


def test_a_stranger_finds_no_job_to_cancel(api: Api, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)

    foreign = api.as_(cast.charlie).post(f"/ai/jobs/{job.pk}/cancel/")
    absent = api.as_(cast.charlie).post("/ai/jobs/999999999/cancel/")

    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content
    assert world.row(job).status == "pending"


def test_cancels_at_random_moments_leave_one_end_each(cast: Cast, provider: Provider) -> None:
    """Whoever wins the race: one terminal state, one settlement, nothing left reserved."""
    budget = world.make_budget(cast.company, "1000")

    async def quick(*_: Any) -> Any:
        await asyncio.sleep(0.003)
        return completion()

    provider(quick)
    jobs = [world.submit(cast.alice) for _ in range(40)]

    async def race() -> None:
        runs = [asyncio.create_task(pipeline.finish(job)) for job in jobs]
        for number, job in enumerate(jobs):
            await asyncio.sleep(0.0002 * (number % 7))
            await pipeline.cancel(job.pk, cast.company.pk)
        await asyncio.gather(*runs)

    loop.run(race())

    rows = [world.row(job) for job in jobs]
    assert {row.status for row in rows} <= {"completed", "cancelled"}
    assert [len(world.ledger(job)) for job in jobs] == [1] * 40
    window = world.window(budget)
    assert window is not None
    spent = sum(world.ledger(job)[0].charged_nano_usd for job in jobs)
    assert (window.reserved, window.spent) == (0, spent)


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that another thread does."""
    waiter = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        waiter.wait(0.01)
    raise AssertionError("it did not happen in time")
