"""Set-based SQL for the journal on both databases: many rows travel as one JSON parameter.

PostgreSQL unfolds it with ``jsonb_to_recordset`` (30 % cheaper than an array per column, see
docs/performance.md), SQLite with ``json_each``. The statements around it are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import orjson
import psycopg
from django.db import connection

Kind = Literal["int", "text", "bool", "json", "time", "date", "number", "float"]
POSTGRES_TYPES: dict[Kind, str] = {
    "int": "bigint",
    "text": "text",
    "bool": "boolean",
    "json": "jsonb",
    "time": "timestamptz",
    "date": "date",
    "number": "numeric",
    "float": "double precision",
}


@dataclass(frozen=True)
class Rows:
    """A set of rows as a table expression: ``FROM {rows.source}`` with ``rows.pack(dicts)``."""

    alias: str
    columns: dict[str, Kind]

    @property
    def names(self) -> str:
        """``alias.a, alias.b, …`` in the order of the columns."""
        return ", ".join(f"{self.alias}.{name}" for name in self.columns)

    @property
    def source(self) -> str:
        """The table expression; it takes one parameter."""
        if connection.vendor == "postgresql":
            types = ", ".join(f"{n} {POSTGRES_TYPES[k]}" for n, k in self.columns.items())
            return f"jsonb_to_recordset(%s::jsonb) AS {self.alias}({types})"
        picks = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in self.columns)
        return f"(SELECT {picks} FROM json_each(%s)) AS {self.alias}"

    def pack(self, rows: Iterable[dict[str, Any]]) -> str:
        """The parameter for ``source``: a column that a row lacks is NULL."""
        convert = {name: _packer(kind) for name, kind in self.columns.items()}
        packed = [
            {name: pack(row[name]) for name, pack in convert.items() if row.get(name) is not None}
            for row in rows
        ]
        return orjson.dumps(packed, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def insert(table: str, rows: Rows, tail: str = "") -> str:
    """``INSERT INTO table (columns) SELECT … FROM rows`` with ``tail`` (ON CONFLICT, RETURNING)."""
    names = ", ".join(rows.columns)
    # SQLite's parser needs a WHERE between SELECT and ON CONFLICT.
    return f"INSERT INTO {table} ({names}) SELECT {rows.names} FROM {rows.source} WHERE true {tail}"


def _packer(kind: Kind) -> Any:
    if kind == "json":
        return orjson.Fragment if connection.vendor == "postgresql" else _text
    if kind == "time":
        return datetime.isoformat if connection.vendor == "postgresql" else _sqlite_time
    if kind == "date":
        return date.isoformat
    if kind == "number":
        return str  # a Decimal never becomes a float on its way
    return _same


def _same(value: Any) -> Any:
    return value


def _text(value: bytes) -> str:
    return value.decode()


def _sqlite_time(value: datetime) -> str:
    """As Django's SQLite backend stores an aware datetime (UTC, no offset)."""
    return value.replace(tzinfo=None).isoformat(sep=" ")


#: The journal's statements touch a handful of rows by key. The planner takes the unfolded parameter
#: for 100 unknown rows and would rather read a whole table; it would also plan them anew each time.
PLAN_BY_KEY = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;"
    " SET plan_cache_mode = force_generic_plan"
)


class Session:
    """One thread's transactions over Django's own connection of that thread."""

    def __init__(self) -> None:
        self._prepared: Any = None
        self._pipeline: Any = None
        #: Whether COMMIT may have been sent: a connection lost then leaves the outcome open.
        self.committing = False

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """BEGIN … COMMIT, or ROLLBACK when the block raises."""
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            if self._prepared is not connection.connection:
                self._prepared = connection.connection
                connection.connection.prepare_threshold = 0  # Django's connections prepare nothing
                connection.connection.execute(PLAN_BY_KEY)
            # Statements whose rows nobody asks for travel together with the next that is asked.
            raw = connection.connection
            with raw.pipeline() as self._pipeline, raw.transaction():
                yield self
                self.committing = True
            return
        raw = connection.connection
        raw.execute("BEGIN IMMEDIATE")
        try:
            yield self
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise
        raw.execute("COMMIT")

    def execute(self, statement: str, params: Sequence[Any] = ()) -> None:
        """Run one statement that returns no rows; its failure may show with a later one."""
        self._run(statement, params)

    def rows(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; the rows it returns (JSON comes as text)."""
        return list(self._run(statement, params).fetchall())

    def count(self, statement: str, params: Sequence[Any] = ()) -> int:
        """Run one statement; how many rows it touched."""
        cursor = self._run(statement, params)
        if connection.vendor == "postgresql":
            self._pipeline.sync()
        return int(cursor.rowcount)

    @staticmethod
    def _run(statement: str, params: Sequence[Any]) -> Any:
        raw = connection.connection
        if connection.vendor == "postgresql":
            # Django's own cursors bind in the client, where nothing can be prepared.
            return psycopg.Cursor(raw).execute(statement, params, prepare=True)
        return raw.execute(statement.replace("%s", "?"), params)

    @property
    def for_update(self) -> str:
        """The clause that locks selected rows (SQLite locks everything from BEGIN on)."""
        return " FOR UPDATE" if connection.vendor == "postgresql" else ""

    @staticmethod
    def time(moment: datetime) -> datetime | str:
        """``moment`` as a parameter of this database."""
        return moment if connection.vendor == "postgresql" else _sqlite_time(moment)

    def close(self) -> None:
        """Drop the connection; the next transaction opens a new one."""
        connection.close()
