"""Many rows as one parameter: what goes in comes out, on whichever database the suite runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.db import connection

from megahub.kernel import sql
from megahub.kernel.sql import Kind, Rows

MOMENT = datetime(2026, 11, 20, 10, 30, 0, 123456, tzinfo=UTC)
ROWS = Rows("r", {"n": "int", "t": "text"})


def selected(rows: Rows, values: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The rows as the database sees them."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {rows.names} FROM {rows.source}", [rows.pack(values)])
        return cursor.fetchall()


def test_it_works() -> None:
    assert selected(ROWS, [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}]) == [(1, "a"), (2, "b")]


def test_no_rows() -> None:
    assert selected(ROWS, []) == []


def test_what_a_row_lacks_is_null() -> None:
    assert selected(ROWS, [{"n": 1}, {"t": None}, {}]) == [(1, None), (None, None), (None, None)]


def test_what_is_empty_is_not_null() -> None:
    assert selected(ROWS, [{"n": 0, "t": ""}]) == [(0, "")]


def test_what_has_no_column_is_left_out() -> None:
    assert ROWS.pack([{"n": 1, "colour": "blue"}]) == '[{"n":1}]'


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE x; --", "%s", "é 漢字 🏔️", '"\\/', "a\nb\t", "null", "\u2028", "$.n", "?"]
)
def test_any_text(text: str) -> None:
    assert selected(ROWS, [{"n": 1, "t": text}]) == [(1, text)]


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63 - 1, -(2**63)])
def test_any_number(number: int) -> None:
    assert selected(ROWS, [{"n": number, "t": "a"}]) == [(number, "a")]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("bool", True, True),
        ("bool", False, False),
        ("date", date(2026, 11, 20), date(2026, 11, 20)),
        ("number", Decimal("0.000000001"), Decimal("0.000000001")),
        ("number", Decimal("12345678901234567890.123456789"), Decimal("12345678901234567890.123456789")),
        ("float", 0.1, 0.1),
        ("time", MOMENT, MOMENT),
        ("time", MOMENT.replace(microsecond=0), MOMENT.replace(microsecond=0)),
        ("json", b'{"a":[1,"\\u00e9"]}', {"a": [1, "é"]}),
    ],
)
def test_kinds(kind: Kind, value: Any, expected: Any) -> None:
    """Each as Django reads that kind of column; a Decimal is exact all the way."""
    ((found,),) = selected(Rows("r", {"x": kind}), [{"x": value}])

    assert read(kind, found) == expected


def read(kind: Kind, found: Any) -> Any:
    """SQLite has neither dates nor exact numbers: they come as texts, as Django stores them."""
    if kind == "json" and isinstance(found, str):
        return orjson.loads(found)
    if connection.vendor == "postgresql":
        return found
    if kind == "time":
        return datetime.fromisoformat(found).replace(tzinfo=UTC)
    if kind == "date":
        return date.fromisoformat(found)
    return Decimal(found) if kind == "number" else found


def test_insert() -> None:
    statement = sql.insert("a_table", ROWS, "RETURNING n")

    assert statement == (
        f"INSERT INTO a_table (n, t) SELECT r.n, r.t FROM {ROWS.source} WHERE true RETURNING n"
    )
    assert statement.count("%s") == 1
