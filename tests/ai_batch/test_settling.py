"""Lines that end together are settled together: one record of the spool, one entry of the journal."""

from __future__ import annotations

from typing import Any

import pytest

from ai_batch.models import Batch, LineResult
from ai_batch.services import engine
from ai_batch.services.settle import SETTLE_SLICES, SettleSlices
from ai_core.domain import gates
from ai_core.services.process_spool import ProcessSpool
from ai_usage.models import LedgerEntry
from megahub.kernel import journal
from tests import world
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"
LINES = 12


def made(api: Api, cast: Cast) -> Batch:
    asked = {"endpoint": CHAT, "requests": [line(f"c{n}") for n in range(LINES)], "engine": "hub"}
    answer = api.as_(cast.alice).post("/api/batch/create", asked)
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])  # type: ignore[no-any-return]


def check(cast: Cast, done: Batch, budget: Any) -> None:
    """Every line has ended once, and was charged once."""
    assert (done.status, done.completed, done.failed) == ("completed", LINES, 0)
    settled = LedgerEntry.objects.of(cast.company.pk).filter(kind="settle")
    assert (settled.count(), settled.values("job_id").distinct().count()) == (LINES, LINES)
    assert not LineResult.objects.filter(batch=done).exists()
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


def test_those_that_end_in_one_turn_are_one_entry(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first are held back until the last has ended."""
    budget = world.make_budget(cast.company, "5")
    entries: list[int] = []
    records: list[int] = []
    held: list[Any] = []
    real_end, real_write, real_keep = engine.Engine._end, journal.write, ProcessSpool.keep

    def end(self: engine.Engine, ended: Any) -> None:
        held.append(ended)
        if len(held) == LINES:
            for each in held:
                real_end(self, each)

    async def write(writer: Any, entry: Any) -> Any:
        if writer is SETTLE_SLICES:
            entries.append(len(entry))
        return await real_write(writer, entry)

    def keep(self: Any, ends: Any) -> Any:
        records.append(len(ends))
        return real_keep(self, ends)

    monkeypatch.setattr(engine.Engine, "_end", end)
    monkeypatch.setattr(journal, "write", write)
    monkeypatch.setattr(ProcessSpool, "keep", keep)
    done = work(made(api, cast))
    assert (entries, records) == ([LINES], [LINES])
    check(cast, done, budget)


def test_a_slice_that_cannot_be_written_is_written_line_by_line(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = world.make_budget(cast.company, "5")
    refused: list[int] = []

    def broken(self: Any, session: Any, entries: list[list[Any]]) -> Any:
        refused.append(len(entries))
        raise RuntimeError("a poisoned row")

    monkeypatch.setattr(SettleSlices, "write", broken)
    check(cast, work(made(api, cast)), budget)
    assert refused


def test_what_the_database_does_not_take_at_once_is_put_on_the_disk(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = world.make_budget(cast.company, "5")
    synced: list[bool] = []
    real = ProcessSpool.sync

    def sync(self: Any, mark: Any) -> None:
        synced.append(mark is not None)
        real(self, mark)

    monkeypatch.setattr(engine, "SYNC_AFTER_SECONDS", 0)
    monkeypatch.setattr(ProcessSpool, "sync", sync)
    check(cast, work(made(api, cast)), budget)
    assert set(synced) == {True}


def test_no_more_are_taken_than_the_provider_is_trusted_with(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the gate refuses would wait for seconds, and their whole batch with them."""
    monkeypatch.setattr(gates, "FIRST_CALLS", 3)
    asked = {"endpoint": CHAT, "requests": [line(f"c{n}") for n in range(LINES)], "engine": "hub"}
    answer = api.as_(cast.alice).post("/api/batch/create", asked)
    batch = Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])
    done = work(batch)
    assert (done.completed, set(done.lines.values_list("attempt_no", flat=True))) == (LINES, {1})
