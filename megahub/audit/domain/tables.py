"""Entries as CSV: what could be run by a spreadsheet is text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import orjson

from megahub.kernel.text import inert

COLUMNS = (
    "seq at actor_kind actor_id actor_name api_key_id ip hops user_agent request_id action object_type"
    " object_id object_name before after reason prev_hash hash"
).split()


def header() -> bytes:
    """The first line, behind a byte order mark (Excel asks for it)."""
    return "\ufeff".encode() + _lines([COLUMNS])


def lines(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """One line for each row of ``COLUMNS``."""
    return _lines([_cell(value) for value in row] for row in rows)


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    return buffer.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, dict):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return inert(value) if isinstance(value, str) else value
