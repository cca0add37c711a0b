"""A hub as the machine of jobs plays it: a company, processes with what they have in their heads, and
what must hold after every step. A process is a row, a spool and what it has in its head.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from ai_core import pipeline
from ai_core.models import AIJob, Attempt, WorkerSession
from ai_core.services import recovery, spooling
from ai_core.services.cancel import CANCEL, Cancellation
from ai_core.services.job import Job
from ai_core.services.settle import Settlement
from ai_usage.models import LedgerEntry
from megahub.kernel import clock, journal, loop
from tests import world
from tests.ai_core.job_model import ENDS, Ended, Jobs, Key, ModelProcess

NUMBERS = itertools.count(1)
ROOM_FOR = 12
MOST_PROCESSES = 4
HOUR = timedelta(hours=1)
pick = st.integers(0, 10**6)


@dataclass
class Head:
    """What a process knows of an attempt that it runs; ``stage`` is how far it came."""

    process: int
    job: Job
    unknown_before: int
    stage: str = "claimed"
    ended: Settlement | None = None
    told: Ended | None = None

    @property
    def key(self) -> Key:
        return self.job.pk, self.job.attempt_no


class Processes(RuleBasedStateMachine):
    """One company with a budget for some jobs, up to four processes, and a reaper."""

    acting: SimpleNamespace
    rung: list[tuple[str, tuple[Any, ...], str]]

    def __init__(self) -> None:
        super().__init__()
        name = f"Machine {world.RUN} {next(NUMBERS)}"
        company, brand = world.make_company(name)
        self.person = world.make_person(name.lower().replace(" ", "-"), company, brand, "owner")
        self.hold = loop.run(pipeline.draft(world.order(self.person))).estimate.usd_nano
        self.budget = world.make_budget(company, limit=ROOM_FOR * self.hold, unit="nano_usd")
        self.model = Jobs(ROOM_FOR * self.hold, self.hold)
        self.heads: list[Head] = []
        self.calls: Counter[Key] = Counter()
        for _ in range(2):
            self.begin()

    # Processes ------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.processes) < MOST_PROCESSES)
    @rule()
    def begin(self) -> None:
        row = WorkerSession.objects.create(kind="worker", host="here", pid=1)
        self.model.processes[row.pk] = ModelProcess(row.pk)

    @rule(which=pick)
    def fall_silent(self, which: int) -> None:
        """Stopped for longer than a lease, or dead for so long."""
        process = self._process(which)
        process.is_silent = True
        past = clock.now() - HOUR
        WorkerSession.objects.filter(pk=process.pk).update(beat_at=past)

    @rule(which=pick)
    def beat(self, which: int) -> None:
        process = self._process(which)
        if not process.is_dead:
            process.is_silent = False
            WorkerSession.objects.filter(pk=process.pk).update(beat_at=clock.now())

    @rule(which=pick)
    def kill(self, which: int) -> None:
        """kill -9: its head is gone, and the kernel lets go of its file."""
        process = self._process(which)
        process.is_dead = True
        self.heads = [head for head in self.heads if head.process != process.pk]
        own = spooling.SPOOL.own.pop(process.pk, None)
        if own is not None:
            os.close(own._current.file)

    def _process(self, which: int) -> ModelProcess:
        return self.model.processes[sorted(self.model.processes)[which % len(self.model.processes)]]

    def _rows(self) -> Any:
        return AIJob.objects.of(self.person.company.pk)

    # What holds -----------------------------------------------------------------------------------

    @invariant()
    def jobs_agree(self) -> None:
        found = {
            row.pk: (
                row.status,
                row.attempt_no,
                row.unknown_attempts,
                _text(row),
                (row.error or {}).get("code"),
            )
            for row in self._rows()
        }
        assert found == {
            job.pk: (job.status, job.attempt_no, job.unknown, job.text, job.error)
            for job in self.model.jobs.values()
        }

    @invariant()
    def attempts_agree(self) -> None:
        rows = Attempt.objects.filter(job_id__in=list(self.model.jobs))
        found = {(row.job_id, row.attempt_no): row.phase for row in rows}
        assert found == {
            (job.pk, number): phase
            for job in self.model.jobs.values()
            for number, phase in job.phases.items()
        }

    @invariant()
    def money_agrees(self) -> None:
        entries: dict[int, list[tuple[str, int, int]]] = {pk: [] for pk in self.model.jobs}
        for row in LedgerEntry.objects.of(self.person.company.pk).order_by("pk"):
            entries[row.job_id].append((row.kind, row.attempt_no, row.charged_nano_usd))
        assert entries == {job.pk: job.ledger for job in self.model.jobs.values()}
        window = world.window(self.budget)
        found = (window.reserved, window.spent, window.unknown_exposure) if window else (0, 0, 0)
        exposed = self.hold * len(self.model.exposed)
        assert found == (self.model.reserved, self.model.spent, exposed)

    @invariant()
    def promises_hold(self) -> None:
        """No settlement twice or never, no call twice under one name, no silent repeat."""
        for job in self.model.jobs.values():
            closings = [kind for kind, _, _ in job.ledger if kind != "late"]
            assert len(closings) == (job.status in ENDS)
            calls = [count for (pk, _), count in self.calls.items() if pk == job.pk]
            assert set(calls) <= {1}
            assert len(calls) <= 1 + job.repeats
            assert sum(phase in ("unknown", "late") for phase in job.phases.values()) <= 2

    def teardown(self) -> None:
        """All processes die; what they ran ends, or waits and can be cancelled."""
        for number in range(len(self.model.processes)):
            self.kill(number)
            self.fall_silent(number)
        recovery.reap()
        company = self.person.company.pk
        for pk in self._rows().filter(status="pending").values_list("pk", flat=True):
            assert journal.write_and_wait(CANCEL, Cancellation(pk, company)) == "ended"
        assert set(self._rows().values_list("status", flat=True)) <= ENDS
        window = world.window(self.budget)
        assert window is None or window.reserved == 0


def _text(row: AIJob) -> str | None:
    return row.response["choices"][0]["message"]["content"] if row.response else None
