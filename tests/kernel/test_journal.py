"""Group commit: together, alone when poisoned, never beyond its capacity, patient with a lost database."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from django.db import connection

from megahub.kernel import journal, loop, scope
from megahub.kernel.errors import Busy, DatabaseUnavailable, HubError, NotFound
from megahub.kernel.session import Session, open_session


@dataclass(eq=False)
class Noting:
    """A writer that notes its groups in a table of its own; ``gate`` holds it back."""

    lane: str = "accept"
    keep: bool = False
    groups: list[list[Any]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def write(self, session: Session, entries: list[Any]) -> list[Any]:
        self.entered.set()
        self.gate.wait(10)
        self.groups.append(list(entries))
        results: list[Any] = []
        for entry in entries:
            if entry == "poison":
                raise ValueError("poisoned")
            if entry == "bad sql":
                session.rows("SELECT nonsense FROM nowhere")
            session.execute("INSERT INTO hub_note (text) VALUES (%s)", [str(entry)])
            results.append(NotFound() if entry == "refuse" else f"wrote {entry}")
        return results

    def recover(self, session: Session, entry: Any) -> Any:
        rows = session.rows("SELECT 1 FROM hub_note WHERE text = %s", [str(entry)])
        return f"found {entry}" if rows else None


@pytest.fixture
def notes(database: None) -> Any:
    """The table, empty; answers what was committed to it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS hub_note (text varchar(80))")
        cursor.execute("DELETE FROM hub_note")

    def read() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT text FROM hub_note ORDER BY text")
            return [text for (text,) in cursor.fetchall()]

    return read


async def write_all(writer: Noting, entries: list[Any]) -> list[Any]:
    writing = [journal.write(writer, entry) for entry in entries]
    return await asyncio.gather(*writing, return_exceptions=True)


def test_it_works(notes: Any) -> None:
    writer = Noting()

    assert journal.write_and_wait(writer, "one") == "wrote one"
    assert loop.run(journal.write(writer, "two")) == "wrote two"
    assert notes() == ["one", "two"]


def test_what_waits_is_written_together(notes: Any) -> None:
    writer = Noting()
    writer.gate.clear()

    async def run() -> list[Any]:
        first = asyncio.ensure_future(journal.write(writer, "first"))
        await loop.in_thread(writer.entered.wait, 5)
        rest = [asyncio.ensure_future(journal.write(writer, f"n{n}")) for n in range(50)]
        await asyncio.sleep(0.05)
        writer.gate.set()
        return await asyncio.gather(first, *rest)

    results = loop.run(run())

    assert len(results) == len(notes()) == 51
    assert [len(group) for group in writer.groups] == [1, 50]


def test_an_answer_comes_after_its_commit(notes: Any) -> None:
    async def run() -> list[str]:
        await journal.write(Noting(), "committed")
        return await loop.in_thread(notes)

    assert loop.run(run()) == ["committed"]


@pytest.mark.parametrize("poison", ["poison", "bad sql"])
def test_a_poisoned_entry_fails_alone(notes: Any, poison: str) -> None:
    writer = Noting()
    writer.gate.clear()

    async def run() -> list[Any]:
        writing = [asyncio.ensure_future(journal.write(writer, e)) for e in ("a", poison, "b", "c")]
        await asyncio.sleep(0.05)
        writer.gate.set()
        return await asyncio.gather(*writing, return_exceptions=True)

    results = loop.run(run())

    assert [r for r in results if not isinstance(r, Exception)] == ["wrote a", "wrote b", "wrote c"]
    (failure,) = [r for r in results if isinstance(r, Exception)]
    assert isinstance(failure, HubError)
    assert failure.code == "INTERNAL_ERROR"
    assert "nonsense" not in str(failure)
    assert notes() == ["a", "b", "c"]


@dataclass(eq=False)
class Locked(Noting):
    """Somebody else holds a lock for too long, so many times."""

    times: int = 1

    def write(self, session: Session, entries: list[Any]) -> list[Any]:
        self.times -= 1
        if self.times >= 0:
            raise LOCKED[connection.vendor]
        return super().write(session, entries)


LOCKED: dict[str, Exception] = {
    "postgresql": psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"),
    "sqlite": sqlite3.OperationalError("database is locked"),
}


def test_what_must_not_be_lost_waits_for_a_lock_too(notes: Any) -> None:
    """A settlement that was dropped for a lock left its job running under a process that lives."""
    writer = Locked(lane="settle", keep=True, times=3)

    assert loop.run(write_all(writer, ["one", "two"])) == ["wrote one", "wrote two"]
    assert notes() == ["one", "two"]


def test_who_waits_goes_on_and_the_entry_is_written_later(
    notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beat's chores run one at a time: a row that somebody holds must not stop the reaper."""
    monkeypatch.setattr(journal, "WAIT_SECONDS", 0.05)
    with pytest.raises(DatabaseUnavailable):
        journal.write_and_wait(Locked(lane="settle", keep=True, times=1), "one")

    monkeypatch.undo()
    journal.write_and_wait(Noting(lane="settle", keep=True), "behind it")
    assert notes() == ["behind it", "one"]


@dataclass(eq=False)
class Held(Noting):
    """Somebody holds a row of the entries that say so, until told otherwise."""

    held: bool = True

    def write(self, session: Session, entries: list[Any]) -> list[Any]:
        if self.held and any(entry.startswith("held") for entry in entries):
            self.entered.set()
            raise LOCKED[connection.vendor]
        return super().write(session, entries)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one lock for all")
def test_a_row_that_is_held_keeps_no_other_companys_back(notes: Any) -> None:
    writer = Held(lane="settle", keep=True)
    sender = Noting(lane="settle", keep=True)
    sender.gate.clear()

    async def run() -> list[str]:
        first = asyncio.ensure_future(journal.write(sender, "first"))
        await loop.in_thread(sender.entered.wait, 5)
        with scope.of(1):
            kept = asyncio.ensure_future(journal.write(writer, "held, the first company's"))
        with scope.of(2):
            other = asyncio.ensure_future(journal.write(writer, "the second company's"))
        await asyncio.sleep(0.05)
        sender.gate.set()
        done = [await first, await other]
        assert not kept.done()
        writer.held = False
        return [*done, await kept]

    assert loop.run(run())[-1] == "wrote held, the first company's"
    assert len(notes()) == 3


def test_what_may_be_refused_is_told_to_come_again(notes: Any) -> None:
    with pytest.raises(DatabaseUnavailable):
        journal.write_and_wait(Locked(), "one")
    assert notes() == []


def test_a_refusal_is_its_entrys_own(notes: Any) -> None:
    results = loop.run(write_all(Noting(), ["a", "refuse", "b"]))

    assert results[0] == "wrote a"
    assert isinstance(results[1], NotFound)
    assert results[2] == "wrote b"


def test_a_full_journal_says_so(notes: Any, settings: Any) -> None:
    settings.HUB_JOURNAL_CAPACITY = 5
    writer = Noting()
    writer.gate.clear()

    async def run() -> list[Any]:
        first = asyncio.ensure_future(journal.write(writer, "first"))
        await loop.in_thread(writer.entered.wait, 5)
        writing = [asyncio.ensure_future(journal.write(writer, f"n{n}")) for n in range(9)]
        await asyncio.sleep(0.05)
        writer.gate.set()
        return await asyncio.gather(first, *writing, return_exceptions=True)

    results = loop.run(run())

    assert sum(isinstance(result, Busy) for result in results) == 4
    assert len(notes()) == 6


def test_what_must_not_be_lost_is_taken_in_however_much_waits(notes: Any, settings: Any) -> None:
    settings.HUB_JOURNAL_CAPACITY = 0

    with pytest.raises(Busy):
        journal.write_and_wait(Noting(), "a submission")
    assert journal.write_and_wait(Noting(keep=True), "a settlement") == "wrote a settlement"


def test_what_comes_while_it_stops_is_written(notes: Any) -> None:
    writer = Noting(lane="stopping")
    writer.gate.clear()
    lane = journal.Lane("stopping")
    items = [journal.Item(writer, word, Future(), None) for word in ("before", "behind")]
    lane.put(items[0])
    assert writer.entered.wait(5)
    stopping = threading.Thread(target=lane.stop)
    stopping.start()
    wait_for(lambda: not lane.waiting.empty())
    lane.put(items[1])
    writer.gate.set()
    stopping.join(10)

    results = [item.future.result(timeout=5) for item in items]
    assert results == ["wrote before", "wrote behind"]
    assert not lane.thread.is_alive()


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    assert condition()


def test_a_cancelled_waiter_does_not_undo_the_writing(notes: Any) -> None:
    writer = Noting()
    writer.gate.clear()

    async def run() -> None:
        task = asyncio.ensure_future(journal.write(writer, "anyway"))
        await asyncio.sleep(0.05)
        task.cancel()
        writer.gate.set()
        await asyncio.gather(task, return_exceptions=True)
        await journal.write(writer, "after")

    loop.run(run())

    assert notes() == ["after", "anyway"]


class TestLostDatabase:
    """The connection breaks under the journal (as when the server restarts)."""

    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Transactions fail with a lost connection until the answer is called."""
        used = type(open_session())
        real = used.transaction
        down = threading.Event()
        down.set()

        def transaction(self: Session, scope: str) -> Any:
            if down.is_set():
                raise ConnectionError("the server went away")
            return real(self, scope)

        monkeypatch.setattr(used, "transaction", transaction)
        monkeypatch.setattr(journal, "connection_lost", down.is_set)
        return down.clear

    def test_what_may_be_refused_is_refused_at_once(self, notes: Any, broken: Any) -> None:
        began = time.monotonic()

        with pytest.raises(DatabaseUnavailable):
            journal.write_and_wait(Noting(), "one")

        assert time.monotonic() - began < 2
        broken()
        assert notes() == []

    @pytest.mark.parametrize(("committed", "answer"), [(True, "found x"), (False, "wrote x")])
    def test_a_commit_in_doubt_is_looked_up_before_it_is_repeated(
        self, notes: Any, monkeypatch: pytest.MonkeyPatch, committed: bool, answer: str
    ) -> None:
        """The connection is lost while COMMIT is on its way: it may or may not have arrived."""
        used, lost = type(open_session()), threading.Event()
        real = used.transaction

        @contextmanager
        def transaction(self: Session, scope: str) -> Iterator[Session]:
            if lost.is_set():
                with real(self, scope) as session:
                    yield session
                return
            lost.set()
            try:
                with real(self, scope) as session:
                    yield session
                    if not committed:
                        raise RuntimeError("rolled back")
            except RuntimeError:
                pass
            self.committing = True
            raise ConnectionError("the server went away")

        monkeypatch.setattr(used, "transaction", transaction)
        monkeypatch.setattr(journal, "connection_lost", lambda: True)

        assert journal.write_and_wait(Noting(), "x") == answer
        assert notes() == ["x"]

    def test_what_must_not_be_lost_waits_for_its_return(self, notes: Any, broken: Any) -> None:
        writer = Noting(lane="settle", keep=True)
        writing = loop.start(journal.write(writer, "kept"))
        time.sleep(0.6)
        assert not writing.done()

        broken()

        assert writing.result(5) == "wrote kept"
        assert notes() == ["kept"]
