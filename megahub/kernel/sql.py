"""Set-based SQL for the journal on both databases: many rows travel as one JSON parameter.

PostgreSQL unfolds it with ``jsonb_to_recordset`` (30 % cheaper than an array per column, see
docs/performance.md), SQLite with ``json_each``. The statements around it are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal

import orjson
from django.conf import settings
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


def on_postgres() -> bool:
    """Which of the two databases this is, without a connection (they are made per task of a loop)."""
    return str(settings.DATABASES["default"]["ENGINE"]).endswith("postgresql")


def transaction_number(which: str) -> int:
    """The oldest open transaction (``xmin``) or the next one (``xmax``); SQLite has one at a time."""
    if not on_postgres():
        return 0
    with connection.cursor() as database:
        database.execute(f"SELECT pg_snapshot_{which}(pg_current_snapshot())::text::bigint")
        return int(database.fetchone()[0])


@dataclass(frozen=True)
class Rows:
    """A set of rows as a table expression: ``FROM {rows.source}`` with ``rows.pack(dicts)``."""

    alias: str
    columns: dict[str, Kind]

    @cached_property
    def names(self) -> str:
        """``alias.a, alias.b, …`` in the order of the columns."""
        return ", ".join(f"{self.alias}.{name}" for name in self.columns)

    @cached_property
    def source(self) -> str:
        """The table expression; it takes one parameter."""
        if on_postgres():
            types = ", ".join(f"{n} {POSTGRES_TYPES[k]}" for n, k in self.columns.items())
            return f"jsonb_to_recordset(%s::jsonb) AS {self.alias}({types})"
        picks = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in self.columns)
        return f"(SELECT {picks} FROM json_each(%s)) AS {self.alias}"

    def pack(self, rows: Iterable[dict[str, Any]]) -> str:
        """The parameter for ``source``: a column that a row lacks is NULL."""
        packed = [
            {name: pack(row[name]) for name, pack in self._packers if row.get(name) is not None}
            for row in rows
        ]
        return orjson.dumps(packed, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()

    @cached_property
    def _packers(self) -> list[tuple[str, Any]]:
        return [(name, _packer(kind)) for name, kind in self.columns.items()]


def insert(table: str, rows: Rows, tail: str = "") -> str:
    """``INSERT INTO table (columns) SELECT … FROM rows`` with ``tail`` (ON CONFLICT, RETURNING)."""
    names = ", ".join(rows.columns)
    # SQLite's parser needs a WHERE between SELECT and ON CONFLICT.
    return f"INSERT INTO {table} ({names}) SELECT {rows.names} FROM {rows.source} WHERE true {tail}"


def _packer(kind: Kind) -> Any:
    if kind == "json":
        return orjson.Fragment if on_postgres() else _text
    if kind == "time":
        return datetime.isoformat if on_postgres() else sqlite_time
    if kind == "date":
        return date.isoformat
    if kind == "number":
        return str  # a Decimal never becomes a float on its way
    return _same


def _same(value: Any) -> Any:
    return value


def _text(value: bytes) -> str:
    return value.decode()


def sqlite_time(value: datetime) -> str:
    """As Django's SQLite backend stores an aware datetime (UTC, no offset)."""
    return value.replace(tzinfo=None).isoformat(sep=" ")
