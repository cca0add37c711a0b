"""What beat does: ring again for what waits, take back what was lost; and the fence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import AIJob, Attempt, WorkerSession
from ai_core.services import endings, recovery
from ai_core.services.claim import CLAIM, NEXT_ATTEMPT, Claimed, Move, Take
from ai_usage.models import UnknownExposure
from megahub.kernel import clock, journal, loop, scope
from megahub.kernel.errors import CostLimitExceeded, NoApiKey, ProviderError, ServerError
from megahub.kernel.scope import EVERYBODY
from megahub.kernel.session import open_session
from tests import world
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


def dead_session(seconds: int = 60) -> WorkerSession:
    """A process that stopped beating so long ago."""
    moment = clock.now() - timedelta(seconds=seconds)
    return WorkerSession.objects.create(kind="worker", host="gone", pid=1, beat_at=moment)


def claimed_by(session: WorkerSession, job_pk: int) -> Claimed:
    claimed = journal.write_and_wait(CLAIM, Take(job_pk, session.pk, 900))
    assert isinstance(claimed, Claimed)
    return claimed


def bells_for(rung: Rung, pk: int) -> int:
    return sum(args == (pk,) for _, args, _ in rung)


def job_holds(row: AIJob) -> int:
    """What a job holds (or held) of each budget in money."""
    (amount,) = {amount for _, _, amount, unit in row.holds if unit == "nano_usd"}
    return int(amount)


def open_exposures(job_pk: int) -> list[str]:
    """How the job's exposures ended, by attempt; "" for those that have not."""
    rows = UnknownExposure.objects.unscoped().filter(job_id=job_pk).order_by("attempt_no")
    return list(rows.values_list("ended_as", flat=True))


class TestRelay:
    def test_a_lost_bell_is_rung_again(self, cast: Cast, rung: Rung) -> None:
        job = world.submit(cast.alice, later=True, priority="urgent")
        rung.clear()

        recovery.relay()
        assert bells_for(rung, job.pk) == 0
        past = clock.now() - timedelta(seconds=1)
        AIJob.objects.unscoped().filter(pk=job.pk).update(ring_at=past)
        recovery.relay()

        assert ("ai_core.run_job", (job.pk,), "urgent") in rung
        assert world.row(job).ring_at > clock.now() + timedelta(seconds=25)

    def test_what_waits_long_is_rung_for_ever_more_rarely(self, cast: Cast, rung: Rung) -> None:
        job = world.submit(cast.alice, later=True)
        now = clock.now()
        AIJob.objects.unscoped().filter(pk=job.pk).update(run_at=now - timedelta(hours=3), ring_at=now)

        recovery.relay()

        wait = world.row(job).ring_at - now
        assert timedelta(minutes=9, seconds=59) < wait < timedelta(minutes=10, seconds=5)

    def test_nothing_is_rung_before_its_time(self, cast: Cast, rung: Rung) -> None:
        job = world.submit(cast.alice, later=True)
        later = clock.now() + timedelta(minutes=5)
        AIJob.objects.unscoped().filter(pk=job.pk).update(run_at=later, ring_at=later)
        rung.clear()

        recovery.relay()

        assert bells_for(rung, job.pk) == 0


class TestReaper:
    def test_a_lost_job_is_run_again_once(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        provider(completion())
        job = world.submit(cast.alice, later=True)
        claimed_by(dead_session(), job.pk)
        rung.clear()

        recovery.reap()

        row = world.row(job)
        assert (row.status, row.attempt_no, row.unknown_attempts) == ("pending", 1, 1)
        assert bells_for(rung, job.pk) == 1
        assert Attempt.objects.get(job=row).phase == "unknown"
        loop.run(pipeline.work(job.pk))
        assert world.row(job).status == "completed"
        assert len(world.ledger(job)) == 1

    def test_a_job_lost_twice_ends_with_an_unknown_outcome(self, cast: Cast, rung: Rung) -> None:
        budget = world.make_budget(cast.company, "5")
        job = world.submit(cast.alice, later=True)
        for _ in range(2):
            claimed_by(dead_session(), job.pk)
            recovery.reap()

        row = world.row(job)
        assert (row.status, row.error["code"]) == ("failed", "OUTCOME_UNKNOWN")
        assert [entry.kind for entry in world.ledger(job)] == ["void"]
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent) == (0, 0)
        assert window.unknown_exposure == 2 * job_holds(row)

    def test_tools_that_act_are_not_called_twice(self, cast: Cast, rung: Rung) -> None:
        """What the model only asks for may be asked again; what the provider does itself may not."""
        job = world.submit(cast.alice, later=True)
        tools = [{"type": "function", "function": {"name": "f"}}, {"type": "mcp", "server_url": "x"}]
        AIJob.objects.unscoped().filter(pk=job.pk).update(params={"tools": tools})
        claimed_by(dead_session(), job.pk)

        recovery.reap()

        row = world.row(job)
        assert (row.status, row.error["code"]) == ("failed", "OUTCOME_UNKNOWN")

    def test_an_unknown_outcome_takes_room_until_it_expires(self, cast: Cast, rung: Rung) -> None:
        """What may have been spent is not spent again; then it is forgotten, and never billed."""
        job = world.submit(cast.alice, later=True)
        needed = loop.run(pipeline.draft(world.order(cast.alice))).estimate.usd_nano
        budget = world.make_budget(cast.company, limit=2 * needed, unit="nano_usd")
        AIJob.objects.unscoped().filter(pk=job.pk).delete()
        job = world.submit(cast.alice)
        Attempt.objects.filter(job_id=job.pk).update(session=dead_session())
        recovery.reap()
        assert world.row(job).status == "failed"

        world.submit(cast.alice, later=True)
        with pytest.raises(CostLimitExceeded):
            world.submit(cast.alice, later=True)
        UnknownExposure.objects.of(cast.company.pk).update(expires_at=clock.now())
        recovery.reap()

        assert open_exposures(job.pk) == ["expired"]
        world.submit(cast.alice, later=True)
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent, window.unknown_exposure) == (2 * needed, 0, 0)

    def test_a_job_that_somebody_waited_for_is_not_repeated(self, cast: Cast, provider: Provider) -> None:
        job = world.submit(cast.alice)
        Attempt.objects.filter(job_id=job.pk).update(session=dead_session())

        recovery.reap()

        row = world.row(job)
        assert (row.status, row.error["code"]) == ("failed", "OUTCOME_UNKNOWN")

    def test_a_process_that_ended_properly_has_no_jobs_either(self, cast: Cast) -> None:
        session = dead_session(0)
        job = world.submit(cast.alice)
        Attempt.objects.filter(job_id=job.pk).update(session=session)
        recovery.reap()
        assert world.row(job).status == "running"
        WorkerSession.objects.filter(pk=session.pk).update(ended_at=clock.now())

        recovery.reap()

        assert world.row(job).status == "failed"

    def test_a_job_that_beats_but_is_long_overdue_times_out(self, cast: Cast) -> None:
        job = world.submit(cast.alice)
        past = clock.now() - timedelta(seconds=40)
        AIJob.objects.unscoped().filter(pk=job.pk).update(deadline_at=past)

        recovery.reap()

        assert world.row(job).status == "timeout"

    def test_a_lost_job_that_was_to_be_cancelled_is(self, cast: Cast, rung: Rung) -> None:
        job = world.submit(cast.alice, later=True)
        claimed_by(dead_session(), job.pk)
        AIJob.objects.unscoped().filter(pk=job.pk).update(cancel_requested_at=clock.now())

        recovery.reap()

        assert world.row(job).status == "cancelled"

    @pytest.mark.parametrize("error", [ServerError, KeyError])
    def test_one_that_cannot_be_taken_back_keeps_no_other_from_it(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        jobs = [world.submit(cast.alice) for _ in range(2)]
        Attempt.objects.filter(job_id__in=[job.pk for job in jobs]).update(session=dead_session())
        take_back = recovery.take_back

        def poisoned(attempt: Attempt) -> bool:
            if attempt.job_id == jobs[0].pk:
                raise error
            return take_back(attempt)

        monkeypatch.setattr(recovery, "take_back", poisoned)
        recovery.reap()

        assert [world.row(job).status for job in jobs] == ["running", "failed"]
        monkeypatch.undo()
        recovery.reap()

    def test_a_job_is_taken_back_as_its_company(self, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mistake here would be one company's: PostgreSQL shows it no other's rows."""
        jobs = [world.submit(person) for person in (cast.alice, cast.charlie)]
        Attempt.objects.filter(job_id__in=[job.pk for job in jobs]).update(session=dead_session())
        seen: dict[int, str] = {}
        take_back = recovery.take_back

        def watched(attempt: Attempt) -> bool:
            seen[attempt.job_id] = scope.current()
            return take_back(attempt)

        monkeypatch.setattr(recovery, "take_back", watched)
        recovery.reap()

        companies = (cast.company.pk, cast.charlie.company.pk)
        assert [seen[job.pk] for job in jobs] == [str(pk) for pk in companies]
        assert [world.row(job).status for job in jobs] == ["failed", "failed"]

    def test_sessions_of_old_are_forgotten_however_they_ended(self, database: None) -> None:
        week = 7 * 24 * 3600
        killed, ended, recent = dead_session(week + 60), dead_session(week + 60), dead_session(week - 60)
        WorkerSession.objects.filter(pk=ended.pk).update(ended_at=ended.beat_at)

        recovery.reap()

        left = WorkerSession.objects.filter(pk__in=[killed.pk, ended.pk, recent.pk])
        assert [session.pk for session in left] == [recent.pk]

    def test_living_jobs_are_left_alone(self, cast: Cast) -> None:
        job = world.submit(cast.alice)

        recovery.reap()

        assert world.row(job).status == "running"


class TestFence:
    def test_a_worker_given_up_for_dead_can_settle_nothing(
        self, cast: Cast, rung: Rung, provider: Provider
    ) -> None:
        """SIGSTOP past its lease, then SIGCONT: the late answer changes nothing, and is kept."""
        budget = world.make_budget(cast.company, "5")
        provider(completion("first"))
        job = world.submit(cast.alice, later=True)
        zombie = claimed_by(dead_session(), job.pk)
        recovery.reap()
        loop.run(pipeline.work(job.pk))
        settled = world.row(job)
        spent = world.window(budget)

        late = loop.run(pipeline.reopen(zombie))
        late.completion = completion("second", prompt=1000, output=1000)
        loop.run(endings.end(late))

        row = world.row(job)
        assert row.response == settled.response
        assert row.revision == settled.revision
        attempt = Attempt.objects.get(job=row, attempt_no=1)
        assert attempt.phase == "late"
        assert attempt.usage["input"] == 1000
        # What the late call cost is in the ledger and in the budget, in place of what was held for it.
        settle, cost = world.ledger(job)
        assert [settle.kind, cost.kind, cost.attempt_no] == ["settle", "late", 1]
        assert cost.cost_nano_usd == cost.charged_nano_usd == 750_000
        after = world.window(budget)
        assert spent is not None
        assert after is not None
        assert (spent.reserved, spent.spent) == (0, settle.charged_nano_usd)
        assert spent.unknown_exposure == job_holds(row)
        assert (after.reserved, after.spent) == (0, settle.charged_nano_usd + cost.charged_nano_usd)
        assert after.unknown_exposure == 0

    def test_a_late_answer_does_not_end_the_attempt_that_runs(
        self, cast: Cast, rung: Rung, provider: Provider
    ) -> None:
        job = world.submit(cast.alice, later=True)
        zombie = claimed_by(dead_session(), job.pk)
        recovery.reap()
        claimed_by(dead_session(0), job.pk)

        late = loop.run(pipeline.reopen(zombie))
        late.completion = completion("late")
        loop.run(endings.end(late))

        row = world.row(job)
        assert (row.status, row.attempt_no, row.response) == ("running", 2, None)
        assert [entry.kind for entry in world.ledger(job)] == ["late"]
        assert late.error is not None

    def test_a_late_cost_counts_once(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        job = world.submit(cast.alice, later=True)
        zombie = claimed_by(dead_session(), job.pk)
        recovery.reap()
        for _ in range(2):
            late = loop.run(pipeline.reopen(zombie))
            late.completion = completion("late")
            loop.run(endings.end(late))

        assert [entry.kind for entry in world.ledger(job)] == ["late"]
        assert world.row(job).status == "pending"

    def test_a_late_refusal_frees_what_was_held_for_it(self, cast: Cast, rung: Rung) -> None:
        budget = world.make_budget(cast.company, "5")
        job = world.submit(cast.alice, later=True)
        zombie = claimed_by(dead_session(), job.pk)
        recovery.reap()
        assert open_exposures(job.pk) == [""]

        late = loop.run(pipeline.reopen(zombie))
        late.error = NoApiKey(provider="openai")
        loop.run(endings.end(late))

        assert open_exposures(job.pk) == ["nothing"]
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent, window.unknown_exposure) == (job_holds(world.row(job)), 0, 0)

    def test_the_same_settlement_twice_counts_once(self, cast: Cast, provider: Provider) -> None:
        provider(completion())
        job = world.submit(cast.alice)
        loop.run(pipeline.run(job))

        loop.run(endings.end(job))

        assert len(world.ledger(job)) == 1
        assert Attempt.objects.get(job_id=job.pk).phase == "done"


def test_a_failure_that_was_heard_is_known_even_if_the_job_was_to_be_cancelled(
    cast: Cast, rung: Rung, provider: Provider
) -> None:
    job = world.submit(cast.alice, later=True)
    claimed = claimed_by(dead_session(0), job.pk)
    AIJob.objects.unscoped().filter(pk=job.pk).update(cancel_requested_at=clock.now())
    running = loop.run(pipeline.reopen(claimed))
    running.was_sent, running.error = True, ProviderError(provider="openai")

    loop.run(endings.end(running))

    assert world.row(job).status == "cancelled"
    assert Attempt.objects.get(job_id=job.pk).phase == "failed"
    assert open_exposures(job.pk) == []


def test_a_next_attempt_in_doubt_is_found_by_its_own_process_only(cast: Cast, rung: Rung) -> None:
    """Another may have made one of that number meanwhile: whoever took it for its own would call, too."""
    job, own, other = world.submit(cast.alice, later=True), dead_session(0), dead_session(0)
    claimed_by(own, job.pk)
    moves = [Move(job.pk, 1, by.pk, "openai", "own", "failed", "SERVER_ERROR") for by in (own, other)]
    assert journal.write_and_wait(NEXT_ATTEMPT, moves[0])

    session = open_session()
    with session.transaction(EVERYBODY):
        found = [NEXT_ATTEMPT.recover(session, move) for move in moves]
    session.close()

    assert found == [True, None]
