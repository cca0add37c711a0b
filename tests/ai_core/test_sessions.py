"""A process's session: begun once, ended whatever the database says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from typing import cast as as_type

import pytest
from django.db import OperationalError

from ai_core.models import Attempt, WorkerSession
from ai_core.services import recovery
from ai_core.services.claim import CLAIM, Take
from ai_core.services.sessions import Process, Running
from megahub.kernel import clock, journal
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
    unknown, running, settling, young = (world.submit(cast.alice, later=True).pk for _ in range(4))
    for job in (unknown, running, settling, young):
        journal.write_and_wait(CLAIM, Take(job, pk, 900))
    long_ago = clock.now() - timedelta(seconds=60)
    Attempt.objects.filter(session_id=pk).exclude(job_id=young).update(started_at=long_ago)
    process.running[running] = as_type(Running, None)
    process.settling.add(settling)

    process._disown()
    recovery.reap()

    states = {job: world.row(job).status for job in (unknown, running, settling, young)}
    process.running.clear()
    process.end()
    assert states == {unknown: "pending", running: "running", settling: "running", young: "running"}
    assert world.row(unknown).unknown_attempts == 1
    recovery.reap()
