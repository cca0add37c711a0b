"""Jobs against a plain model: processes that claim, call, hear, spool, settle, and die between any two.

How much is played: ``tests/machines.py``. Real are the pipeline's steps, the journal, the spool's files
and their locks, the reaper and the relay (``job_processes.py`` has the hub, ``job_model.py`` the model).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)

from ai_batch.services import verification
from ai_core import pipeline
from ai_core.domain import retry
from ai_core.models import Attempt
from ai_core.services import endings, process_spool, recovery, spooling
from ai_core.services.cancel import CANCEL, Cancellation
from ai_core.services.claim import CLAIM, NEXT_ATTEMPT, Claimed, Move, Take
from ai_usage.models import UnknownExposure
from megahub.kernel import clock, journal, loop, spool
from megahub.kernel.errors import (
    CostLimitExceeded,
    HubError,
    JobCancelled,
    NoApiKey,
    ProviderError,
    ProviderTimeout,
)
from megahub.tenancy.models import Company
from tests import world
from tests.ai_core.job_model import Ended
from tests.ai_core.job_processes import HOUR, Head, Processes, pick
from tests.machines import SCALE
from tests.stubs import completion

#: Nano-dollars a token of gpt-4o-mini: what is sent, what is answered.
INPUT, OUTPUT = 150, 600
FAILURES: dict[str, Callable[[], HubError]] = {
    "PROVIDER_ERROR": lambda: ProviderError(provider="openai"),
    "PROVIDER_TIMEOUT": lambda: ProviderTimeout(provider="openai"),
    "NO_API_KEY": lambda: NoApiKey(provider="openai"),
}


def at(stage: str) -> Any:
    """A rule for attempts that have come so far."""
    return precondition(lambda self: any(head.stage == stage for head in self.heads))


class JobMachine(Processes):
    """One company with a budget for some jobs, up to four processes, and a reaper."""

    # A job's way ----------------------------------------------------------------------------------

    @rule(which=pick, later=st.booleans())
    def submit(self, which: int, later: bool) -> None:
        process = self._process(which)
        if not later and process.is_dead:
            return
        if not self.model.has_room:
            with pytest.raises(CostLimitExceeded):
                world.submit(self.person, later=later)
            return
        job = world.submit(self.person, later=later)
        self.model.accept(job.pk, later, process.pk)
        if not later:
            Attempt.objects.filter(job_id=job.pk).update(session=process.pk)
            self.heads.append(Head(process.pk, job, 0))

    @precondition(lambda self: any(job.status == "pending" for job in self.model.jobs.values()))
    @rule(which=pick, by=pick)
    def claim(self, which: int, by: int) -> None:
        process = self._process(by)
        if process.is_dead:
            return
        waiting = [pk for pk, job in self.model.jobs.items() if job.status == "pending"]
        pk = waiting[which % len(waiting)]
        unknown = self.model.jobs[pk].unknown
        claimed = journal.write_and_wait(CLAIM, Take(pk, process.pk, 900))
        assert isinstance(claimed, Claimed) == self.model.claim(pk, process.pk)
        if claimed is not None:
            self.heads.append(Head(process.pk, loop.run(pipeline.reopen(claimed)), unknown))

    @at("claimed")
    @rule(which=pick)
    def call(self, which: int) -> None:
        """Whatever is sent has a row."""
        head = self._head(which, "claimed")
        job_pk, number = head.key
        assert Attempt.objects.filter(job_id=job_pk, attempt_no=number).exists()
        self.calls[head.key] += 1
        head.job.was_sent, head.stage = True, "called"

    @at("called")
    @rule(which=pick, prompt=st.integers(1, 50), output=st.integers(1, 40))
    def hear(self, which: int, prompt: int, output: int) -> None:
        head = self._head(which, "called")
        text = f"{head.key} {prompt}"
        head.job.completion, head.stage = completion(text, prompt, output), "heard"
        cost = prompt * INPUT + output * OUTPUT
        head.told = Ended(*head.key, "completed", "done", cost, text)

    @at("called")
    @rule(which=pick, code=st.sampled_from(sorted(FAILURES)))
    def hear_of_a_failure(self, which: int, code: str) -> None:
        head = self._head(which, "called")
        head.job.error, head.stage = FAILURES[code](), "failed"

    @at("heard")
    @rule(which=pick)
    def spool_it(self, which: int) -> None:
        """What was heard is written down: from here on it outlives its process."""
        head = self._head(which, "heard")
        endings._close(head.job)
        head.ended, head.stage = endings._settlement(head.job), "spooled"
        self.acting.session_id = head.process
        head.job.marks.append(spooling.SPOOL.keep(head.ended))
        self._recorded(head)

    @at("spooled")
    @rule(which=pick)
    def settle(self, which: int) -> None:
        head = self._head(which, "spooled")
        assert head.ended is not None
        assert head.told is not None
        self.heads.remove(head)
        self.acting.session_id = head.process
        in_time = loop.run(endings._settled(head.ended, head.job.marks))
        assert in_time == self.model.settle(head.told)

    @at("failed")
    @rule(which=pick)
    def fail(self, which: int) -> None:
        """Given back to be tried again, or ended."""
        head = self._head(which, "failed")
        self._end(head, self._failed(head))

    @at("failed")
    @rule(which=pick)
    def move_on(self, which: int) -> None:
        """To the next key at once."""
        head = self._head(which, "failed")
        error = head.job.error
        assert error is not None
        if not retry.may_move_on(error, head.job.call.params, head.unknown_before):
            return
        phase = "unknown" if error.outcome_unknown else "failed"
        move = Move(*head.key, head.process, "openai", "hub", phase, error.code)
        moved = journal.write_and_wait(NEXT_ATTEMPT, move)
        assert moved == self.model.move_on(head.key, phase, head.process)
        if moved:
            head.unknown_before += phase == "unknown"
            head.job.unknown_attempts += phase == "unknown"
            head.job.attempt_no += 1
            head.job.error, head.job.was_sent, head.stage = None, False, "claimed"

    @at("claimed")
    @rule(which=pick)
    def put_off(self, which: int) -> None:
        """No way to the provider was open."""
        head = self._head(which, "claimed")
        if head.job.is_async:
            head.job.held_until = clock.now() + HOUR
            put_off = self.model.put_off(head.key)
            unwanted = Ended(*head.key, "cancelled", "failed", error="JOB_CANCELLED")
            self._end(head, None if put_off else unwanted)

    @precondition(lambda self: self._unwanted())
    @rule(which=pick)
    def let_go(self, which: int) -> None:
        """Its process sees that it is to be cancelled."""
        heads = self._unwanted()
        head = heads[which % len(heads)]
        head.job.error = JobCancelled()
        phase = "unknown" if head.job.was_sent else "failed"
        self._end(head, Ended(*head.key, "cancelled", phase, error="JOB_CANCELLED"))

    def _unwanted(self) -> list[Head]:
        running = [head for head in self.heads if head.stage in ("claimed", "called")]
        return [head for head in running if self.model.jobs[head.job.pk].is_unwanted]

    def _failed(self, head: Head) -> Ended | None:
        error = head.job.error
        assert error is not None
        phase = "unknown" if error.outcome_unknown else "failed"
        if error.retryable and self.model.may_retry(
            head.key, head.unknown_before, is_unknown=error.outcome_unknown
        ):
            if self.model.give_back(head.key, phase):
                return None
            return Ended(*head.key, "cancelled", phase, error="JOB_CANCELLED")
        status = "timeout" if isinstance(error, ProviderTimeout) else "failed"
        return Ended(*head.key, status, phase, error=error.code)

    def _end(self, head: Head, told: Ended | None) -> None:
        """The process ends its attempt as it always does."""
        self.heads.remove(head)
        self.acting.session_id = head.process
        loop.run(endings.end(head.job))
        if told is not None:
            head.told = told
            self._recorded(head)
            self.model.settle(told)

    def _recorded(self, head: Head) -> None:
        process, told = self.model.processes[head.process], head.told
        assert told is not None
        process.records = (process.records or {}) | {(told.pk, told.number): told}

    def _head(self, which: int, stage: str) -> Head:
        heads = [head for head in self.heads if head.stage == stage]
        return heads[which % len(heads)]

    # The others -----------------------------------------------------------------------------------

    @precondition(lambda self: self.model.jobs)
    @rule(which=pick)
    def claim_what_is_not_to_be_had(self, which: int) -> None:
        """A bell that rang twice."""
        pk = sorted(self.model.jobs)[which % len(self.model.jobs)]
        if self.model.jobs[pk].status != "pending":
            process = next(iter(self.model.processes))
            assert journal.write_and_wait(CLAIM, Take(pk, process, 900)) is None

    @precondition(lambda self: self.model.jobs)
    @rule(which=pick)
    def cancel(self, which: int) -> None:
        pk = sorted(self.model.jobs)[which % len(self.model.jobs)]
        outcome = journal.write_and_wait(CANCEL, Cancellation(pk, self.person.company.pk))
        assert outcome == self.model.cancel(pk)

    @rule()
    def time_passes(self) -> None:
        """What was dated later is due."""
        own = self._rows().filter(status="pending")
        own.update(run_at=clock.now(), ring_at=clock.now())
        for job in self.model.jobs.values():
            job.is_due = job.is_due or job.status == "pending"

    @rule(forgets=st.booleans())
    def reap(self, forgets: bool) -> None:
        """Every so often after a day, when unknown outcomes are forgotten."""
        if forgets:
            UnknownExposure.objects.of(self.person.company.pk).update(expires_at=clock.now())
        recovery.reap()
        self.model.reap(forgets=forgets)

    @rule()
    def relay(self) -> None:
        """A bell for every job that waits and is due, however many were lost."""
        self._rows().filter(status="pending").update(ring_at=clock.now())
        self.rung.clear()
        recovery.relay()
        rung = {args[0] for _, args, _ in self.rung} & set(self.model.jobs)
        waiting = {job.pk for job in self.model.jobs.values() if job.status == "pending" and job.is_due}
        assert rung == waiting


@pytest.mark.timeout(0)
def test_jobs(
    sandbox_url: str,
    rung: list[tuple[str, tuple[Any, ...], str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is played, all that is left of it fits together (``verify_ledger``)."""
    spooling.SPOOL.close()
    monkeypatch.setattr(settings, "HUB_SPOOL_DIR", str(tmp_path))
    monkeypatch.setattr(retry, "run_at", lambda *_: clock.now() + HOUR)
    JobMachine.acting, JobMachine.rung = SimpleNamespace(session_id=None), rung
    monkeypatch.setattr(process_spool, "PROCESS", JobMachine.acting)
    run_state_machine_as_test(JobMachine, settings=SCALE)
    own = set(Company.objects.filter(slug__startswith=f"machine-{world.RUN}-").values_list("pk", flat=True))
    off = [each for each in verification.verify() if each.company_id in own]
    assert [str(each) for each in off if each.invariant != "rollup"] == []
    assert spool.found(tmp_path) == []
