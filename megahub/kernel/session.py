"""The journal's transactions: one thread's, over Django's own connection of that thread.

PostgreSQL speaks libpq's pipeline (``psycopg.pq``): statements are only put down until an answer is
needed, so that most transactions are a single trip with their COMMIT in it, rows are locked for no
longer than the server takes, and the thread asks for the interpreter once (docs/performance.md).
SQLite runs each statement as it comes; writers see no difference.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

import psycopg
from django.db import connection
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.waiting import Ready, Wait

from megahub.kernel.scope import NOBODY
from megahub.kernel.sql import on_postgres, sqlite_time

#: The journal's statements touch a handful of rows by key. The planner takes the unfolded parameter
#: for 100 unknown rows and would rather read a whole table; it would also plan them anew each time.
PLAN_BY_KEY = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;"
    " SET plan_cache_mode = force_generic_plan"
)
#: A process that is stopped between two trips holds its locks, and idle_in_transaction_session_timeout does
#: not see it: between a question and COMMIT the server is not idle. This one it has since version 17.
LIMITED_SINCE = 170_000
TRANSACTION_SECONDS = 60.0
#: Whose rows the transaction may touch (megahub/kernel/scope.py).
OWN_ROWS = "SELECT set_config('app.company', %s, true)"
#: After so many transactions of a connection its statements are planned anew: what was planned while
#: a table was empty reads all of it once it has grown, and nothing tells before autovacuum comes by.
PLAN_AGAIN_AFTER = frozenset(4**power for power in range(2, 12))
FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)


class NotMet(Exception):
    """A ``require`` touched no row; the transaction is undone."""


class Asked:
    """A statement on its way; its answer is there after the next trip."""

    __slots__ = ("count", "rows")

    def __init__(self, rows: list[tuple[Any, ...]] | None = None, count: int = 0) -> None:
        self.rows = rows or []
        self.count = count


class Session(Protocol):
    """One thread's transactions.

    ``careful`` while a group whose ``require`` was not met is written again: a writer then asks first and
    acts afterwards. ``committing`` once COMMIT may have been sent: a connection lost then leaves
    the outcome open.
    """

    careful: bool
    committing: bool

    def transaction(self, scope: str = NOBODY) -> Any:
        """A context: BEGIN … COMMIT, or ROLLBACK when the block raises; for the rows of ``scope``."""

    def ask(self, statement: str, params: Sequence[Any] = ()) -> Asked:
        """Run one statement with the next trip, at the latest with COMMIT."""

    def execute(self, statement: str, params: Sequence[Any] = ()) -> None:
        """Run one statement that returns no rows; its failure may show with a later one."""

    def rows(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement now; the rows it returns (JSON comes as text)."""

    def count(self, statement: str, params: Sequence[Any] = ()) -> int:
        """Run one statement now; how many rows it touched."""

    def require(self, update: str, params: Sequence[Any] = ()) -> None:
        """Run an UPDATE that must touch a row: NotMet, at the latest from ``commit``, when it does not."""

    def commit(self) -> None:
        """End the transaction before its block ends, to read what was asked in it."""

    def close(self) -> None:
        """Drop the connection; the next transaction opens a new one."""

    @property
    def for_update(self) -> str:
        """The clause that locks selected rows (SQLite locks everything from BEGIN on)."""

    @staticmethod
    def time(moment: datetime) -> datetime | str:
        """``moment`` as a parameter of this database."""


def open_session() -> Session:
    """A session for the calling thread."""
    return PostgresSession() if on_postgres() else SqliteSession()


class PostgresSession:
    """Statements travel together, are prepared once per connection, and answer in order."""

    for_update = " FOR UPDATE"

    def __init__(self) -> None:
        self.careful = False
        self.committing = False
        self._raw: Any = None
        self._libpq: Any = None
        self._adapt: Any = None
        self._names: dict[str, bytes] = {}
        self._put_down: list[Asked | None] = []
        self._transactions = 0

    @contextmanager
    def transaction(self, scope: str = NOBODY) -> Iterator[PostgresSession]:
        self._connect()
        self.committing = False
        self._libpq.enter_pipeline_mode()
        try:
            self._put("BEGIN")
            self._put(OWN_ROWS, [scope])
            yield self
            if not self.committing:
                self.commit()
            self._libpq.exit_pipeline_mode()
        except BaseException:
            self._undo()
            raise

    def ask(self, statement: str, params: Sequence[Any] = ()) -> Asked:
        return self._put(statement, params)

    def execute(self, statement: str, params: Sequence[Any] = ()) -> None:
        self._put(statement, params)

    def rows(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._answered(self._put(statement, params)).rows

    def count(self, statement: str, params: Sequence[Any] = ()) -> int:
        return self._answered(self._put(statement, params)).count

    def require(self, update: str, params: Sequence[Any] = ()) -> None:
        # Nobody reads the answer before COMMIT goes out: the server itself must stop at no row.
        self._put(f"WITH touched AS ({update} RETURNING 1) SELECT 1 / count(*) FROM touched", params)

    def commit(self) -> None:
        self.committing = True
        self._put("COMMIT")
        self._travel(sync=True)

    def close(self) -> None:
        # Not back into a pool: what is set and prepared on it is the journal's own.
        if connection.connection is not None:
            connection.connection.close()
        connection.close()
        self._raw = None

    @staticmethod
    def time(moment: datetime) -> datetime | str:
        return moment

    def _connect(self) -> None:
        connection.ensure_connection()
        if self._raw is not connection.connection:
            connection.connection.execute(PLAN_BY_KEY)
            if connection.connection.info.server_version >= LIMITED_SINCE:
                most = int(TRANSACTION_SECONDS * 1000)
                connection.connection.execute(f"SET transaction_timeout = {most}")
            self._raw = connection.connection
            self._libpq = self._raw.pgconn
            self._adapt = Transformer(self._raw)
            self._names.clear()
            self._transactions = 0
        self._transactions += 1
        if self._transactions in PLAN_AGAIN_AFTER:
            self._raw.execute("DISCARD PLANS")

    def _put(self, statement: str, params: Sequence[Any] = ()) -> Asked:
        name = self._names.get(statement)
        if name is None:
            name = self._names[statement] = f"hub_{len(self._names)}".encode()
            self._libpq.send_prepare(name, _numbered(statement))
            self._put_down.append(None)
        texts = self._adapt.dump_sequence(params, [PyFormat.TEXT] * len(params)) if params else None
        self._libpq.send_query_prepared(name, texts)
        asked = Asked()
        self._put_down.append(asked)
        return asked

    def _answered(self, asked: Asked) -> Asked:
        self._libpq.send_flush_request()
        self._travel()
        return asked

    def _travel(self, *, sync: bool = False) -> None:
        """Send what was put down and take in its answers. Raises the first error among them."""
        put_down, self._put_down = self._put_down, []
        if sync:
            self._libpq.pipeline_sync()
        results = self._raw.wait(_trip(self._libpq, len(put_down) + sync))
        failed = next((result for result in results if result.status in FAILED), None)
        if failed is not None:
            error = psycopg.errors.error_from_result(failed)
            if isinstance(error, psycopg.errors.DivisionByZero):
                raise NotMet from error
            raise error
        for asked, result in zip(put_down, results, strict=False):
            if asked is not None:
                self._take_in(asked, result)

    def _take_in(self, asked: Asked, result: Any) -> None:
        asked.count = result.command_tuples or 0
        if result.ntuples:
            self._adapt.set_pgresult(result)
            asked.rows = self._adapt.load_rows(0, result.ntuples, tuple)

    def _undo(self) -> None:
        """Roll back and forget what was prepared, some of which may never have arrived.

        Whoever was interrupted between a question and its answer (a signal, a test's timeout) leaves a
        connection whose answers belong to nobody: it is closed, or everything after it would fail.
        """
        try:
            if not self.committing:
                with suppress(NotMet, psycopg.DatabaseError):
                    self._travel(sync=True)
            self._libpq.exit_pipeline_mode()
            self._raw.execute("ROLLBACK")
            self._raw.execute("DEALLOCATE ALL")
            self._names.clear()
        except psycopg.Error:
            self._put_down.clear()
            self.close()


def _numbered(statement: str) -> bytes:
    """``%s`` as ``$1``, ``$2``, …"""
    first, *others = statement.split("%s")
    return "".join([first, *(f"${n}{part}" for n, part in enumerate(others, 1))]).encode()


def _trip(libpq: Any, count: int) -> Generator[Wait, int, list[Any]]:
    """Send what libpq holds back and read ``count`` results, without blocking."""
    while libpq.flush():
        if (yield Wait.RW) & Ready.R:
            libpq.consume_input()
    results: list[Any] = []
    while len(results) < count:
        while libpq.is_busy():
            yield Wait.R
            libpq.consume_input()
        result = libpq.get_result()
        if result is None:
            raise psycopg.OperationalError("the connection is lost")
        if result.status != ExecStatus.PIPELINE_SYNC:
            libpq.get_result()  # None, the end of this statement
        results.append(result)
    return results


class SqliteSession:
    """Each statement runs when it is asked."""

    for_update = ""

    def __init__(self) -> None:
        self.careful = False
        self.committing = False

    @contextmanager
    def transaction(self, scope: str = NOBODY) -> Iterator[SqliteSession]:
        connection.ensure_connection()
        raw = connection.connection
        self.committing = False
        raw.execute("BEGIN IMMEDIATE")
        try:
            yield self
            if not self.committing:
                self.commit()
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise

    def ask(self, statement: str, params: Sequence[Any] = ()) -> Asked:
        cursor = connection.connection.execute(statement.replace("%s", "?"), params)
        return Asked(cursor.fetchall(), cursor.rowcount)

    def execute(self, statement: str, params: Sequence[Any] = ()) -> None:
        self.ask(statement, params)

    def rows(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.ask(statement, params).rows

    def count(self, statement: str, params: Sequence[Any] = ()) -> int:
        return self.ask(statement, params).count

    def require(self, update: str, params: Sequence[Any] = ()) -> None:
        if not self.count(update, params):
            raise NotMet

    def commit(self) -> None:
        self.committing = True
        connection.connection.execute("COMMIT")

    def close(self) -> None:
        connection.close()

    @staticmethod
    def time(moment: datetime) -> datetime | str:
        return sqlite_time(moment)
