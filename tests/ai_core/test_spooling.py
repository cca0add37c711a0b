"""An answer that was heard is not lost with its process: the reaper settles it from the spool."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings

from ai_core import pipeline
from ai_core.models import WorkerSession
from ai_core.services import endings, recovery, spooling
from ai_core.services.job import Job
from ai_core.services.settle import SETTLE, Settlement
from ai_providers.domain.pricing import Cost, Rate
from ai_providers.domain.wire import Usage
from megahub.kernel import clock, journal, loop, spool
from megahub.kernel.errors import ServerError
from megahub.kernel.spool import Spool
from tests import world
from tests.ai_core.test_recovery import claimed_by, dead_session
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A spool of this test's own."""
    spooling.SPOOL.close()
    monkeypatch.setattr(settings, "HUB_SPOOL_DIR", str(tmp_path))
    yield tmp_path
    spooling.SPOOL.close()


def spooled_by(session: WorkerSession, job: Job, folder: Path, text: str = "heard") -> Spool:
    """What a process wrote that had heard the answer to a job."""
    job.completion = completion(text)
    job.was_sent = True
    endings._close(job)
    owner = Spool(folder, {"session": session.pk, "host": socket.gethostname()})
    owner.put(spooling.pack(endings._settlement(job)))
    return owner


def reopened(session: WorkerSession, job: Job) -> Job:
    return loop.run(pipeline.reopen(claimed_by(session, job.pk)))


class TestReplay:
    def test_a_killed_process_is_settled_without_another_call(
        self, cast: Cast, rung: Rung, provider: Provider, folder: Path
    ) -> None:
        budget = world.make_budget(cast.company, "5")
        scripted = provider(completion("another call"))
        session = dead_session(0)  # it beat a moment ago: only its lock tells that it is dead
        job = world.submit(cast.alice, later=True)
        spooled_by(session, reopened(session, job), folder)
        spooling.SPOOL.close()
        _die(folder)

        recovery.reap()

        row = world.row(job)
        assert (row.status, row.attempt_no, row.unknown_attempts) == ("completed", 1, 0)
        assert row.response["choices"][0]["message"]["content"] == "heard"
        (entry,) = world.ledger(job)
        assert (entry.kind, entry.input_tokens, entry.output_tokens) == ("settle", 10, 5)
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent, window.unknown_exposure) == (0, entry.charged_nano_usd, 0)
        assert scripted.calls == []
        assert spool.found(folder) == []
        assert WorkerSession.objects.get(pk=session.pk).ended_at is not None

    def test_a_dead_processs_other_jobs_do_not_wait_for_its_lease(
        self, cast: Cast, rung: Rung, folder: Path
    ) -> None:
        session = dead_session(0)
        heard, unheard = (world.submit(cast.alice, later=True) for _ in range(2))
        spooled_by(session, reopened(session, heard), folder)
        claimed_by(session, unheard.pk)
        _die(folder)

        recovery.reap()

        assert world.row(heard).status == "completed"
        assert (world.row(unheard).status, world.row(unheard).unknown_attempts) == ("pending", 1)

    def test_a_living_process_settles_by_itself(self, cast: Cast, rung: Rung, folder: Path) -> None:
        session = dead_session(0)
        job = world.submit(cast.alice, later=True)
        own = spooled_by(session, reopened(session, job), folder)

        recovery.reap()

        assert world.row(job).status == "running"
        assert len(spool.found(folder)) == 1
        own.close()
        recovery.reap()
        assert world.row(job).status == "completed"

    def test_a_stopped_process_is_settled_but_keeps_its_file(
        self, cast: Cast, rung: Rung, folder: Path
    ) -> None:
        session = dead_session()
        job = world.submit(cast.alice, later=True)
        own = spooled_by(session, reopened(session, job), folder)

        recovery.reap()

        assert world.row(job).status == "completed"
        assert len(spool.found(folder)) == 1
        own.close()

    def test_what_was_settled_before_is_not_settled_again(
        self, cast: Cast, provider: Provider, folder: Path
    ) -> None:
        provider(completion("once"))
        job = world.submit(cast.alice)
        loop.run(pipeline.run(job))
        spooled_by(dead_session(), job, folder, "twice").close()

        recovery.reap()

        assert world.row(job).response["choices"][0]["message"]["content"] == "once"
        assert [entry.kind for entry in world.ledger(job)] == ["settle"]

    def test_the_last_word_on_an_attempt_counts(self, cast: Cast, rung: Rung, folder: Path) -> None:
        session = dead_session()
        job = reopened(session, world.submit(cast.alice, later=True))
        own = spooled_by(session, job, folder, "its usage was told")
        job.completion = completion("its end was told")
        own.put(spooling.pack(endings._settlement(job)))
        own.close()

        recovery.reap()

        assert world.row(job).response["choices"][0]["message"]["content"] == "its end was told"

    def test_a_database_that_is_away_costs_no_answer(
        self, cast: Cast, rung: Rung, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = dead_session()
        job = world.submit(cast.alice, later=True)
        spooled_by(session, reopened(session, job), folder).close()

        def away(*_: Any) -> Any:
            raise ServerError

        with monkeypatch.context() as patched:
            patched.setattr(journal, "write_and_wait", away)
            assert spooling.SPOOL.replay() == 0
        assert len(spool.found(folder)) == 1
        assert spooling.SPOOL.replay() == 1
        assert world.row(job).status == "completed"

    def test_a_file_that_does_not_open_keeps_no_other_from_it(
        self, cast: Cast, rung: Rung, folder: Path
    ) -> None:
        (folder / f"0{spool.SUFFIX}").write_bytes(b"no spool at all")
        session = dead_session()
        job = world.submit(cast.alice, later=True)
        spooled_by(session, reopened(session, job), folder).close()

        assert spooling.SPOOL.replay() == 1
        assert len(spool.found(folder)) == 1

    def test_a_record_of_an_earlier_release(self, cast: Cast, rung: Rung, folder: Path) -> None:
        job = world.submit(cast.alice, later=True)
        own = spooled_by(dead_session(), reopened(dead_session(0), job), folder)
        own.close()
        (path,) = spool.found(folder)
        with spool.leftover(path) as left:
            facts = orjson.loads(left.records[0])
        del facts["input_data"], facts["forget_at"]

        settlement = spooling.unpack(orjson.dumps(facts))

        assert (settlement.job_pk, settlement.input_data, settlement.forget_at) == (job.pk, None, None)

    def test_a_record_that_nobody_can_read_keeps_no_lost_job_from_the_reaper(
        self, cast: Cast, rung: Rung, folder: Path
    ) -> None:
        session = dead_session()
        own = Spool(folder, {"session": session.pk, "host": socket.gethostname()})
        own.put(b'{"of": "a later release"}')
        own.close()
        job = world.submit(cast.alice, later=True)
        claimed_by(session, job.pk)

        recovery.reap()

        assert (world.row(job).status, world.row(job).unknown_attempts) == ("pending", 1)
        assert len(spool.found(folder)) == 1


class TestWriting:
    def test_the_answer_is_spooled_before_it_is_settled(
        self, cast: Cast, provider: Provider, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider(completion("heard"))
        job = world.submit(cast.alice)
        seen: list[list[Settlement]] = []
        write = SETTLE.write

        def look(session: Any, entries: list[Settlement]) -> list[bool]:
            (path,) = spool.found(folder)
            with spool.leftover(path) as left:
                seen.append([spooling.unpack(record) for record in left.records])
            return write(session, entries)

        monkeypatch.setattr(SETTLE, "write", look)
        loop.run(pipeline.run(job))

        ((settlement,),) = seen
        assert (settlement.key, settlement.status) == ((job.pk, 1), "completed")
        assert settlement.response is not None
        assert b"heard" in settlement.response
        assert job.marks == []

    def test_a_stream_is_spooled_once_its_usage_is_told(
        self, cast: Cast, provider: Provider, folder: Path
    ) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        at_usage: list[int] = []

        async def look(*_: Any) -> list[Any]:
            return [chunk("Hel"), {**chunk(""), "choices": [], "usage": usage}, 0.01]

        provider(look)
        job = world.submit(cast.alice, params={"stream": True})
        note_usage = endings.note_usage

        def noted(noticed: Job) -> None:
            note_usage(noticed)
            (path,) = spool.found(folder)
            with spool.leftover(path) as left:
                at_usage.append(spooling.unpack(left.records[-1]).usage.output)  # type: ignore[union-attr]

        endings.note_usage = noted
        try:
            loop.run(pipeline.run(job))
        finally:
            endings.note_usage = note_usage

        assert at_usage == [3]
        assert [entry.output_tokens for entry in world.ledger(job)] == [3]

    def test_a_full_disk_costs_no_answer(
        self, cast: Cast, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> Any:
            raise OSError("no space left on device")

        monkeypatch.setattr(Spool, "put", full)
        provider(completion("heard"))
        job = world.submit(cast.alice)

        loop.run(pipeline.run(job))

        assert world.row(job).status == "completed"


def test_a_settlement_survives_its_record() -> None:
    rate = Rate("CHF", Decimal("1.2345"), date(2026, 11, 20))
    settlement = Settlement(
        job_pk=1,
        job_ref="ai_job_1",
        attempt_no=2,
        company_id=3,
        brand_id=4,
        provider="openai",
        model="gpt-4o-mini",
        generation="gpt-4",
        reasoning_effort=None,
        sandbox=True,
        status="completed",
        phase="done",
        source="own",
        ended_at=clock.now(),
        execution_time_ms=5,
        response='{"text":"é"}'.encode(),
        error=None,
        usage=Usage(1, 2, 3, 4, 5, True),
        cost=Cost("CHF", 10, 20, rate, date(2026, 1, 1)),
        charged_nano_usd=37,
        provider_ref="chatcmpl-1",
    )

    assert spooling.unpack(spooling.pack(settlement)) == settlement


def _die(folder: Path) -> None:
    """Let go of every lock, as the kernel does for the dead."""
    for path in spool.found(folder):
        twin = path.with_suffix(".twin")
        twin.write_bytes(path.read_bytes())
        twin.rename(path)
