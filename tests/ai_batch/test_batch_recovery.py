"""Processes that die while they read, run or finish: every line ends once, and is charged once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from ai_batch.domain import results
from ai_batch.models import Batch, Line
from ai_batch.services import chores, engine, finishing, ingest, leases, line_spool, running
from ai_batch.services.claim import TAKE_LINES, Take
from ai_batch.services.settle import LineEnd
from ai_core.models import WorkerSession
from ai_providers.domain import pricing
from ai_providers.domain.wire import Completion, Usage
from ai_usage.models import LedgerEntry
from megahub.kernel import clock, journal, spool
from megahub.kernel.spool import Spool
from tests import world
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"


def made(api: Api, count: int, **fields: Any) -> Batch:
    requests = [line(f"c{n}") for n in range(count)]
    asked = {"endpoint": CHAT, "requests": requests, "engine": "hub", **fields}
    answer = api.post("/api/batch/create", asked)
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])  # type: ignore[no-any-return]


def dead_session() -> int:
    long_ago = clock.now() - timedelta(minutes=5)
    row = WorkerSession.objects.create(kind="worker", host="x", pid=1, beat_at=long_ago)
    return int(row.pk)


def test_a_reader_that_died_is_followed_by_another(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = world.make_budget(cast.company, "5")
    batch = made(api.as_(cast.alice), 25)
    monkeypatch.setattr(ingest, "SLICE_LINES", 10)
    real = ingest.Reading._write

    def dies(self: ingest.Reading, place: Any) -> None:
        if self._written >= 10:
            self.settle()
            raise KeyboardInterrupt
        real(self, place)

    with monkeypatch.context() as patch:
        patch.setattr(ingest.Reading, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            ingest.validate(batch.pk)
    batch.refresh_from_db()
    assert (batch.status, batch.checkpoint_line, batch.total) == ("validating", 10, 10)

    done = work(batch)
    assert (done.total, done.completed, done.failed) == (25, 25, 0)
    assert LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count() == 25
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


def test_a_zombie_reader_writes_nothing(api: Api, cast: Cast) -> None:
    batch = made(api.as_(cast.alice), 3)
    zombie = ingest.Reading(Batch.objects.unscoped().select_related("input_file").get(pk=batch.pk))
    ingest.validate(batch.pk)
    with pytest.raises(ingest.Lost):
        zombie.through()
    assert batch.lines.count() == 3


def test_two_do_not_read_at_once(api: Api, cast: Cast) -> None:
    batch = made(api.as_(cast.alice), 1)
    assert leases.take(batch.pk, "validating") is not None
    assert ingest.validate(batch.pk) is False


def test_lines_of_a_lost_process_are_run_again_once(api: Api, cast: Cast) -> None:
    budget = world.make_budget(cast.company, "5")
    batch = made(api.as_(cast.alice), 3)
    ingest.validate(batch.pk)
    taken = journal.write_and_wait(TAKE_LINES, Take(batch.pk, dead_session(), 0, 2))
    assert [each.line_no for each in taken] == [1, 2]
    chores.tend_one(Batch.objects.unscoped().get(pk=batch.pk))
    assert list(batch.lines.order_by("line_no").values_list("status", "unknown")) == [
        ("pending", 1),
        ("pending", 1),
        ("pending", 0),
    ]
    journal.write_and_wait(TAKE_LINES, Take(batch.pk, dead_session(), 0, 1))
    chores.tend_one(Batch.objects.unscoped().get(pk=batch.pk))
    lost = batch.lines.get(line_no=1)
    assert (lost.status, lost.error_code) == ("failed", "outcome_unknown")
    done = work(batch)
    assert (done.completed, done.failed) == (2, 1)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


def test_an_answer_that_was_heard_is_not_paid_again(api: Api, cast: Cast) -> None:
    """The process was killed between the answer and its settlement: beat finds it in its spool."""
    budget = world.make_budget(cast.company, "5")
    batch = made(api.as_(cast.alice), 2)
    ingest.validate(batch.pk)
    session_id = dead_session()
    (taken,) = journal.write_and_wait(TAKE_LINES, Take(batch.pk, session_id, 0, 1))
    terms = world.terms(cast.company, "gpt-4o-mini")
    usage = Usage(input=11, output=7)
    cost = pricing.cost(terms.price, usage, terms.rate)
    heard = LineEnd(
        batch=running.Work.of(
            Batch.objects.unscoped().select_related("input_file").get(pk=batch.pk)
        ).running,
        pk=taken.pk,
        line_no=1,
        attempt_no=1,
        held_nano_usd=taken.nano_usd,
        held_tokens=taken.tokens,
        status="completed",
        status_code=200,
        body=results.answered(taken.pk, "c0", 200, "x", {"said": "é"}),
        ended_at=clock.now(),
        usage=usage,
        cost=cost,
        charged_nano_usd=cost.usd_nano,
    )
    assert line_spool.unpack(line_spool.pack([heard])) == [heard]
    assert line_spool.unpack(orjson.dumps(heard, default=str)) == [heard]  # of an earlier release
    unseen = replace(heard, unseen=True)  # what the filter said counts, whichever is read first
    for order in ([heard, unseen], [unseen, heard]):
        assert line_spool._still_open([[end] for end in order]) == [[heard]]
    dead = Spool(line_spool.SPOOL.folder, {"session": session_id, "host": "x"})
    dead.put(line_spool.pack([heard, replace(heard, attempt_no=9)]))  # the second: nobody knows of it
    left = dead.put(line_spool.pack([heard])).path
    dead.close()

    chores.tend()
    first = batch.lines.get(line_no=1)
    assert (first.status, first.attempt_no, first.unknown, first.cost_nano_usd) == (
        "completed",
        1,
        0,
        cost.usd_nano,
    )
    assert left not in spool.found(line_spool.SPOOL.folder)
    done = work(batch)
    assert (done.completed, done.failed) == (2, 0)
    assert LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count() == 2
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


def test_what_is_not_done_when_time_is_up_expires(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    batch = made(alice, 2)
    ingest.validate(batch.pk)
    Batch.objects.unscoped().filter(pk=batch.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    chores.tend_one(Batch.objects.unscoped().get(pk=batch.pk))
    finishing.finish(batch.pk)
    told = alice.get(f"/v1/batches/{batch.batch_id}").json()
    assert (told["status"], told["request_counts"]["failed"]) == ("expired", 2)
    assert (
        list(Line.objects.filter(batch=batch).values_list("error_code", flat=True)) == ["batch_expired"] * 2
    )


def test_finishing_twice_makes_one_pair_of_files(api: Api, cast: Cast) -> None:
    batch = work(made(api.as_(cast.alice), 2))
    assert finishing.finish(batch.pk) is False
    batch.refresh_from_db()
    assert batch.output_file is not None
    assert batch.error_file is None


@pytest.fixture
def four_slots(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of its own, which is made with its slots."""
    settings.HUB_BATCH_SLOTS = 4
    monkeypatch.setattr(engine, "_engines", {})


@pytest.mark.usefixtures("four_slots")
def test_companies_take_turns(api: Api, cast: Cast) -> None:
    """Charlie's two lines are answered long before all of Alice's."""
    alices = made(api.as_(cast.alice), 120)
    ingest.validate(alices.pk)
    charlies = made(api.as_(cast.charlie), 2)
    work(charlies)
    alices.refresh_from_db()
    assert alices.completed < 120
    assert work(alices).completed == 120


@pytest.mark.usefixtures("four_slots")
def test_no_more_lines_are_called_than_there_are_slots(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are taken ahead of a slot, but none is called before there is one."""
    at_once: list[int] = []
    ask, now = running.ask, Counter[str]()

    async def counted(run: running.Run) -> Completion:
        now["called"] += 1
        at_once.append(now["called"])
        try:
            return await ask(run)
        finally:
            now["called"] -= 1

    monkeypatch.setattr(running, "ask", counted)
    assert work(made(api.as_(cast.alice), 60)).completed == 60
    assert max(at_once) == 4
