"""A worker that hears nothing while bells are rung ends, so that another one takes its place."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from ai_core import tasks
from ai_core.models import AIJob
from ai_core.services import watchdog
from ai_core.services.sessions import Process
from ai_core.services.watchdog import Watchdog
from megahub.kernel import clock
from tests import world
from tests.world import Cast

Rung = list[tuple[str, tuple[Any, ...], str]]
LONG = 3600.0


class Dog(Watchdog):
    """One that only says that it would leave."""

    def __init__(self) -> None:
        super().__init__(self.note)
        self.left: list[int] = []
        self.drained = 0
        self.heard_at -= LONG

    def note(self, code: int) -> None:
        self.left.append(code)

    def drain(self) -> None:
        self.drained += 1

    def looks(self, running: int = 0, later: float = 0.0) -> None:
        self.look(time.monotonic() + later, running, self.drain)


@pytest.fixture
def unheard(cast: Cast, rung: Rung) -> int:
    """A job that is due for long, and was rung for a moment ago."""
    AIJob.objects.unscoped().filter(status="pending").update(ring_at=None)  # other tests' leftovers
    job = world.submit(cast.alice, later=True)
    due, rung_again = clock.now() - timedelta(minutes=5), clock.now() + timedelta(minutes=5)
    AIJob.objects.unscoped().filter(pk=job.pk).update(run_at=due, ring_at=rung_again)
    return job.pk


def test_it_works(unheard: int) -> None:
    dog = Dog()

    dog.looks()

    assert (dog.left, dog.drained) == ([1], 1)


def test_what_runs_may_finish(unheard: int) -> None:
    dog = Dog()
    dog.looks(running=1)
    dog.looks(running=1)
    assert (dog.left, dog.drained) == ([], 1)

    dog.looks(running=0)
    assert dog.left == [1]


def test_but_not_for_ever(unheard: int) -> None:
    dog = Dog()
    dog.looks(running=1)

    dog.looks(running=1, later=settings.HUB_DRAIN_SECONDS + 1)

    assert dog.left == [1]


def test_one_that_hears_stays(unheard: int) -> None:
    dog = Dog()
    dog.hear()

    dog.looks()

    assert dog.left == []


def test_one_that_is_full_stays(unheard: int) -> None:
    """Bells that wait for a slot were heard."""
    dog = Dog()
    dog.wait(1)

    dog.looks()

    assert dog.left == []


@pytest.mark.parametrize("ago", [timedelta(minutes=5), timedelta(seconds=-5)])
def test_bells_that_nobody_rang_are_not_missed(unheard: int, ago: timedelta) -> None:
    """The relay is dead, or the job is not due: another worker would hear no more."""
    long_due = ago > timedelta(0)
    facts = {"ring_at": clock.now() - ago} if long_due else {"run_at": clock.now() - ago}
    AIJob.objects.unscoped().filter(pk=unheard).update(**facts)
    dog = Dog()

    dog.looks()

    assert dog.left == []


def test_every_task_is_heard_and_only_workers_are_watched(
    unheard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dog = Dog()
    monkeypatch.setattr(watchdog, "WATCHDOG", dog)
    monkeypatch.setattr(tasks, "WATCHDOG", dog)
    process = Process()
    process.kind = "web"
    process._look(beat=True)
    assert dog.left == []
    process.kind = "worker"
    process._look(beat=True)
    assert (dog.left, process.draining) == ([1], True)

    before = dog.heard_at
    tasks.heard()

    assert dog.heard_at > before
