"""Group commit: many requests' rows in one transaction; each answer waits for its commit.

A *writer* turns a list of entries into SQL inside one transaction and returns one result per entry;
a result that is a HubError refuses that entry alone. Entries gather only while the previous commit
runs: an idle journal writes at once, there is no timer. When a group fails, its entries are written
one by one, so that a poisoned row fails alone; a group whose ``require`` touched nothing is written again
with ``session.careful`` set. A full queue answers Busy (503), except to a writer that must not be refused.

PostgreSQL has a thread and a connection per lane (submissions do not wait for settlements); SQLite
has one writer thread for everything.
"""

from __future__ import annotations

import asyncio
import logging
import math
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import psycopg
from django.conf import settings
from django.db import connection
from django.db.utils import Error as DjangoDatabaseError

from megahub.kernel import scope
from megahub.kernel.errors import Busy, DatabaseUnavailable, HubError, ServerError
from megahub.kernel.scope import EVERYBODY
from megahub.kernel.session import NotMet, Session, open_session
from megahub.kernel.sql import on_postgres

log = logging.getLogger(__name__)

E = TypeVar("E")
R = TypeVar("R")
MAX_GROUP = 256
KEEP_PAUSE_SECONDS = 0.25
#: A thread that waits for an entry goes on after this long, and is told so; the entry is still written.
WAIT_SECONDS = 60.0
DOUBT_SECONDS = 5.0
PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
IN_DOUBT = (
    "The hub's database went away while it accepted the request; look whether it did before you ask again."
)
STILL_WAITS = (
    "The hub's database has not taken this for a minute; it is still tried. Look before you ask again."
)


class Writer(Protocol):
    """``lane`` names the thread it shares.

    ``keep`` for what must not be lost: it is taken in however much waits, and tried again for as long
    as this process lives: while the database is away, or somebody else holds a lock that it needs.
    """

    lane: str
    keep: bool

    def write(self, session: Session, entries: list[Any]) -> list[Any]:
        """Write the entries in the open transaction; one result (or HubError) each."""

    def recover(self, session: Session, entry: Any) -> Any:
        """The result of an entry that was committed after all; None when it was not."""


@dataclass(slots=True)
class Item:
    """An entry on its way: the future it resolves, on the loop that waits for it (or a thread).

    ``scope`` is whose rows its sender may touch: a group may touch its senders' rows.

    ``in_doubt`` once the connection was lost while its transaction was being committed.
    """

    writer: Writer
    entry: Any
    future: Any
    loop: asyncio.AbstractEventLoop | None
    scope: str = EVERYBODY
    kept_since: float | None = field(default=None)
    in_doubt: bool = field(default=False)

    @property
    def patience_seconds(self) -> float:
        """How long it is tried again: what must not be lost always, a doubt for a moment."""
        if self.writer.keep:
            return math.inf
        return DOUBT_SECONDS if self.in_doubt else 0.0


async def write(writer: Writer, entry: Any) -> Any:
    """Write ``entry`` and wait for its commit. Raises the HubError that refused it.

    Raises Busy when too much waits already and DatabaseUnavailable when the database is gone.
    The entry is written even if the waiting task is cancelled.
    """
    running = asyncio.get_running_loop()
    future = running.create_future()
    _lane(writer.lane).put(Item(writer, entry, future, running, scope.current()))
    return await future


def write_and_wait(writer: Writer, entry: Any) -> Any:
    """The same from a thread (tasks, commands, ordinary views), for a minute at most."""
    try:
        return submit(writer, entry).result(timeout=WAIT_SECONDS)
    except TimeoutError as error:
        raise DatabaseUnavailable(STILL_WAITS, retry_after=WAIT_SECONDS) from error


def submit(writer: Writer, entry: Any) -> Future[Any]:
    """The same without waiting: for a thread that has something else to do meanwhile."""
    future: Future[Any] = Future()
    _lane(writer.lane).put(Item(writer, entry, future, None, scope.current()))
    return future


class Lane:
    """One writer thread, its queue and its database connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.kept: list[Item] = []
        self.session = open_session()
        self.groups = 0
        self.entries = 0
        self.thread = threading.Thread(target=self._run, name=f"journal-{name}", daemon=True)
        self.thread.start()

    def put(self, item: Item) -> None:
        if not item.writer.keep and self.waiting.qsize() >= settings.HUB_JOURNAL_CAPACITY:
            raise Busy(retry_after=1)
        self.waiting.put(item)

    def stop(self) -> None:
        """Write what waits, then end the thread and close its connection; what cannot be is refused."""
        self.waiting.put(None)
        self.thread.join(timeout=30)

    def _run(self) -> None:
        stopping = False
        # Somebody may have put an entry behind the sign to stop.
        while not stopping or not self.waiting.empty():
            items, told_to_stop = self._gather()
            stopping = stopping or told_to_stop
            by_writer: dict[tuple[int, int], list[Item]] = defaultdict(list)
            for number, item in enumerate(items):
                by_writer[id(item.writer), number if item.in_doubt else -1].append(item)
            for group in by_writer.values():
                self._write_group(group)
        self._finish(self.kept, [DatabaseUnavailable(retry_after=2)] * len(self.kept))
        self.session.close()

    def _gather(self) -> tuple[list[Item], bool]:
        """The first item, however long it takes, and all that waits behind it by then."""
        items, self.kept = self.kept, []
        try:
            # While the database is away, what is kept is tried again after a pause.
            first = self.waiting.get(timeout=KEEP_PAUSE_SECONDS if items else None)
        except queue.Empty:
            return items, False
        if first is None:
            return items, True
        items.append(first)
        while len(items) < MAX_GROUP and not self.waiting.empty():
            item = self.waiting.get()
            if item is None:
                return items, True
            items.append(item)
        return items, False

    def _write_group(self, items: list[Item], *, careful: bool = False) -> None:
        self.groups += 1
        self.entries += len(items)
        self.session.careful = careful
        try:
            self._finish(items, self._attempt_twice(items))
        except DatabaseUnavailable as error:
            self._put_off(items, error)
        except Exception as error:
            if isinstance(error, NotMet) and not careful:
                self._write_group(items, careful=True)
                return
            if is_passing(error) and (items[0].writer.keep or len(items) == 1):
                self._put_apart(items, error)
                return
            if not isinstance(error, HubError):
                log.exception("journal group of %d failed in lane %s", len(items), self.name)
            if len(items) == 1:
                self._finish(items, [error if isinstance(error, HubError) else ServerError()])
                return
            for item in items:
                self._write_group([item])

    def _put_apart(self, items: list[Item], error: Exception) -> None:
        """Somebody holds a lock: what belongs to other companies is written now, the rest tried again."""
        by_scope: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            by_scope[item.scope].append(item)
        if len(by_scope) > 1 and on_postgres():  # SQLite has one lock for all
            for group in by_scope.values():
                self._write_group(group)
            return
        log.warning("journal group of %d is tried again: %s", len(items), error)
        self._put_off(items, DatabaseUnavailable(retry_after=2))

    def _attempt_twice(self, items: list[Item]) -> list[Any]:
        """A connection that the server cut while it was idle is noticed only when it is used."""
        try:
            return self._attempt(items)
        except DatabaseUnavailable:
            if items[0].in_doubt:
                raise
            return self._attempt(items)

    def _attempt(self, items: list[Item]) -> list[Any]:
        """One transaction for all items. Raises DatabaseUnavailable when the connection is lost."""
        self.session.committing = False
        try:
            with self.session.transaction(scope.union(item.scope for item in items)):
                results = self._written(items)
        except HubError:
            raise
        except Exception as error:
            if not is_database_error(error) or not connection_lost():
                raise
            for item in items:
                item.in_doubt = item.in_doubt or self.session.committing
            self.session.close()
            raise DatabaseUnavailable(retry_after=2) from error
        if len(results) != len(items):
            raise RuntimeError(f"{items[0].writer!r} returned {len(results)} of {len(items)} results")
        return results

    def _written(self, items: list[Item]) -> list[Any]:
        """What the writer says; of an entry in doubt (always alone) only what is not there yet."""
        writer, entries = items[0].writer, [item.entry for item in items]
        if items[0].in_doubt:
            found = writer.recover(self.session, entries[0])
            if found is not None:
                return [found]
        return writer.write(self.session, entries)

    def _put_off(self, items: list[Item], error: DatabaseUnavailable) -> None:
        """Keep what must not be lost for the next round; refuse the rest."""
        moment = time.monotonic()
        for item in items:
            item.kept_since = item.kept_since or moment
            if moment - item.kept_since < item.patience_seconds:
                self.kept.append(item)
            else:
                told = DatabaseUnavailable(IN_DOUBT, retry_after=2) if item.in_doubt else error
                self._finish([item], [told])

    def _finish(self, items: list[Item], results: list[Any]) -> None:
        """Resolve the futures: one hop per event loop, not one per entry."""
        hops: dict[asyncio.AbstractEventLoop, list[tuple[Any, Any]]] = defaultdict(list)
        for item, result in zip(items, results, strict=True):
            if item.loop is None:
                _resolve(item.future, result)
            else:
                hops[item.loop].append((item.future, result))
        for loop, pairs in hops.items():
            try:
                loop.call_soon_threadsafe(_resolve_all, pairs)
            except RuntimeError:
                log.warning("an event loop ended before %d journal entries were told", len(pairs))


def _resolve_all(pairs: list[tuple[Any, Any]]) -> None:
    for future, result in pairs:
        _resolve(future, result)


def _resolve(future: Any, result: Any) -> None:
    if future.cancelled():
        return
    if isinstance(result, HubError):
        future.set_exception(result)
    else:
        future.set_result(result)


def is_database_error(error: Exception) -> bool:
    """Whether the driver (raw or wrapped by Django) raised it."""
    if isinstance(error, DjangoDatabaseError | OSError):
        return True
    return isinstance(error, sqlite3.Error | psycopg.Error)


def is_passing(error: Exception) -> bool:
    """Whether the database refused only for now: somebody else held a lock for too long."""
    if isinstance(error, PASSING):
        return True
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def connection_lost() -> bool:
    """Whether this thread's connection is gone (SQLite: the file cannot be used)."""
    raw = connection.connection
    if raw is None:
        return True
    if on_postgres():
        return bool(raw.closed)
    try:
        raw.execute("SELECT 1 FROM django_migrations LIMIT 1")
    except sqlite3.Error:
        return True
    return False


_lanes: dict[str, Lane] = {}
_lanes_lock = threading.Lock()


def _lane(name: str) -> Lane:
    name = name if on_postgres() else "sqlite"
    found = _lanes.get(name)
    if found is not None:
        return found
    with _lanes_lock:
        if name not in _lanes:
            _lanes[name] = Lane(name)
        return _lanes[name]


def stop() -> None:
    """Write what waits and end the threads (at shutdown, before a test database is dropped)."""
    with _lanes_lock:
        stopping = list(_lanes.values())
        _lanes.clear()  # who comes now gets a lane that lives
    for lane in stopping:
        lane.stop()


def statistics() -> dict[str, dict[str, int]]:
    """Per lane: entries written, groups committed, entries waiting."""
    return {
        name: {"entries": lane.entries, "groups": lane.groups, "waiting": lane.waiting.qsize()}
        for name, lane in _lanes.items()
    }
