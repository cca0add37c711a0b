"""A process's session: begun once, ended whatever the database says."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from typing import cast as as_type

import pytest
from django.db import OperationalError

from ai_core import tasks
from ai_core.models import Attempt, WorkerSession
from ai_core.services import endings, recovery
from ai_core.services.claim import CLAIM, Take
from ai_core.services.job import Job
from ai_core.services.sessions import PROCESS, Process, Running
from megahub.kernel import clock, journal, loop
from tests import world
from tests.world import Cast


def test_it_works(database: None) -> None:
    process = Process()

    pk = process.begin("worker")
    assert process.begin() == pk
    process.end()

    row = WorkerSession.objects.get(pk=pk)
    assert row.kind == "worker"
    assert row.ended_at is not None
    assert process.session_id is None


def test_it_ends_without_a_database(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    pk = process.begin("worker")

    def away(_: Process) -> Any:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(Process, "_row", away)
    process.end()

    assert process.session_id is None
    assert WorkerSession.objects.filter(pk=pk).update(ended_at="2026-01-01T00:00:00Z") == 1


def test_what_was_claimed_and_never_begun_is_given_to_the_reaper(cast: Cast, rung: Any) -> None:
    """The database went away while the claim was committed: its process lives, and knows nothing of it."""
    process = Process()
    pk = process.begin("worker")
    jobs = tuple(world.submit(cast.alice, later=True).pk for _ in range(5))
    unknown, running, settling, unwritten, young = jobs
    for job in jobs:
        journal.write_and_wait(CLAIM, Take(job, pk, 900))
    long_ago = clock.now() - timedelta(seconds=60)
    Attempt.objects.filter(session_id=pk).exclude(job_id=young).update(started_at=long_ago)
    process.running[running] = as_type(Running, None)
    process.settling.add(settling)
    process.unwritten.add(unwritten)

    process._disown()
    recovery.reap()

    states = {job: world.row(job).status for job in jobs}
    process.running.clear()
    process.end()
    assert states == {unknown: "pending", **dict.fromkeys(jobs[1:], "running")}
    assert world.row(unknown).unknown_attempts == 1
    recovery.reap()


def test_what_the_journal_still_has_is_known_when_nobody_waits_for_it_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endings, "PATIENCE_SECONDS", 0.05)
    job = as_type(Job, SimpleNamespace(pk=-7, job_ref="job_late", error=None))

    async def settle_late() -> tuple[bool, bool]:
        written = asyncio.Event()
        assert await endings._patiently(written.wait(), job)
        before = job.pk in PROCESS.unwritten
        written.set()
        for _ in range(3):
            await asyncio.sleep(0)
        return before, job.pk in PROCESS.unwritten

    assert loop.run(settle_late()) == (True, False)


def test_the_end_of_an_earlier_run_leaves_a_later_one_of_the_same_job() -> None:
    """Stopped for longer than its lease, a process may claim anew what it still runs."""
    process = Process()
    first, later = (as_type(Running, SimpleNamespace(pk=7)) for _ in range(2))
    process.running[7] = later

    process.let_go(first)
    assert process.running == {7: later}
    process.let_go(later)

    assert (process.running, process.settling) == ({}, {7})


def test_how_a_worker_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full collection of all that it has loaded would hold up every line; the loop is the web's."""
    seen: list[str] = []
    monkeypatch.setattr(loop, "calm_collector", lambda: seen.append("calm"))
    monkeypatch.setattr(PROCESS, "begin", seen.append)
    monkeypatch.setattr(loop, "_loop", None)
    others = set(threading.enumerate())
    tasks.begin()
    fast = loop.current()
    fast.call_soon_threadsafe(fast.stop)
    for thread in set(threading.enumerate()) - others:
        thread.join()
    assert (seen, type(fast).__module__) == (["calm", "worker"], "uvloop")
    fast.close()
