"""Usage as a file: the columns, and rows as CSV, JSON lines or a workbook. Pure.

Column names and their order are a promise to whoever imports the files: new ones are only ever added at
the end. No cell can be run by a spreadsheet: text that could begin a formula gets an apostrophe in CSV
(reliability.md, section 5, requirement 16); in a workbook every text is written as a string.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Literal, Protocol

import orjson
import xlsxwriter

from megahub.kernel import money
from megahub.kernel.text import inert

#: A ``word`` is a text of the hub's own vocabulary, which begins no formula.
Kind = Literal["text", "word", "number", "money", "time", "flag"]
Format = Literal["csv", "jsonl", "xlsx"]
CONTENT_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
#: Where a line ends within a cell, and what may stand unseen before a formula, for PostgreSQL.
BREAKS = r"\n\r\v\f\u001c-\u001e\u0085\u2028\u2029"
_BLANKS = r"\u0001-\u0009\u000e-\u001b\u001f\u0020\u007f\u00a0\u00ad\u2000-\u200f\u2060\u3000\ufeff"
#: The same as ``inert`` (kernel/text.py) asks, for PostgreSQL (selectors/exporting.py).
RUNS = rf"(^|[{BREAKS}])[{_BLANKS}]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]"
#: Excel's own limit of rows to a sheet, the header among them.
SHEET_ROWS = 1_048_576
SHEET_CELL = 32_767


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in the file, the field of usage it shows, and how."""

    name: str
    field: str
    kind: Kind = "text"


#: In this order. Tokens and costs are those of ``GET /ai/usage/``; a manual entry has its reference for
#: a ``job_id``.
COLUMNS = (
    Column("created_at", "created_at", "time"),
    Column("job_id", "reference"),
    Column("job_type", "ai_job__job_type__name"),
    Column("status", "outcome", "word"),
    Column("brand_id", "brand_id", "number"),
    Column("brand", "brand__name"),
    Column("created_by", "ai_job__created_by__username"),
    Column("description", "ai_job__description"),
    Column("provider", "provider_name"),
    Column("model", "model_name"),
    Column("generation", "generation", "word"),
    Column("reasoning_effort", "reasoning_effort"),
    Column("input_tokens", "input_tokens", "number"),
    Column("cached_tokens", "cached_tokens", "number"),
    Column("output_tokens", "output_tokens", "number"),
    Column("reasoning_tokens", "reasoning_tokens", "number"),
    Column("total_tokens", "total_tokens", "number"),
    Column("is_estimated", "is_estimated", "flag"),
    Column("cost_input_usd", "cost_input_nano_usd", "money"),
    Column("cost_output_usd", "cost_output_nano_usd", "money"),
    Column("total_cost_usd", "total_cost_nano_usd", "money"),
    Column("execution_time_ms", "execution_time_ms", "number"),
    Column("first_byte_ms", "first_byte_ms", "number"),
    Column("is_success", "is_success", "flag"),
    Column("sandbox", "sandbox", "flag"),
    Column("kind", "kind", "word"),
)
NAMES = tuple(column.name for column in COLUMNS)
FIELDS = tuple(column.field for column in COLUMNS)

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a whole export adds up to, as the ledger says; ``unpriced`` rows have no cost yet."""

    rows: int
    total_tokens: int
    cost_nano_usd: int
    unpriced: int

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.rows + other.rows,
            self.total_tokens + other.total_tokens,
            self.cost_nano_usd + other.cost_nano_usd,
            self.unpriced + other.unpriced,
        )

    def as_dict(self) -> dict[str, Any]:
        """The trailer: sums as exact decimal strings."""
        return {
            "rows": self.rows,
            "total_tokens": self.total_tokens,
            "total_cost_usd": money.exact(self.cost_nano_usd),
            "unpriced": self.unpriced,
        }


NO_TOTALS = Totals(0, 0, 0, 0)


def added_up(rows: Sequence[Row]) -> Totals:
    """What some rows add up to."""
    cost, tokens = FIELDS.index("total_cost_nano_usd"), FIELDS.index("total_tokens")
    priced = [row[cost] for row in rows if row[cost] is not None]
    return Totals(len(rows), sum(row[tokens] for row in rows), sum(priced), len(rows) - len(priced))


class Writer(Protocol):
    """Takes rows and gives bytes."""

    def begin(self) -> bytes:
        """What stands before the first row."""

    def rows(self, rows: Iterable[Row]) -> bytes:
        """Some rows."""


class CsvWriter:
    """UTF-8 with a byte order mark (Excel asks for it), every cell quoted, lines end with LF."""

    def __init__(self) -> None:
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
        self._shown = [_SHOWN[column.kind] for column in COLUMNS]

    def begin(self) -> bytes:
        self._writer.writerow(NAMES)
        return b"\xef\xbb\xbf" + self._taken()

    def rows(self, rows: Iterable[Row]) -> bytes:
        shown = self._shown
        self._writer.writerows(
            ["" if value is None else show(value) for show, value in zip(shown, row, strict=True)]
            for row in rows
        )
        return self._taken()

    def _taken(self) -> bytes:
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode()


class JsonlWriter:
    """An object per line; sums of money are decimal strings, an absent value is null."""

    def __init__(self) -> None:
        self._told = [_TOLD[column.kind] for column in COLUMNS]

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Iterable[Row]) -> bytes:
        told = self._told
        return b"".join(
            orjson.dumps(
                {
                    name: None if value is None else tell(value)
                    for name, tell, value in zip(NAMES, told, row, strict=True)
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for row in rows
        )


class Workbook:
    """A workbook on disk, in constant memory: sheets of usage and a last one of totals."""

    def __init__(self, file: BinaryIO, folder: str) -> None:
        options = {"constant_memory": True, "tmpdir": folder, "strings_to_formulas": False}
        self._book = xlsxwriter.Workbook(file, options | {"strings_to_urls": False})
        self._bold = self._book.add_format({"bold": True})
        self._money = self._book.add_format({"num_format": "0.000000000"})
        self._sheets = 0
        self._line = SHEET_ROWS

    def rows(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        for row in rows:
            if self._line >= SHEET_ROWS:
                self._new_sheet()
            for place, (column, value) in enumerate(zip(COLUMNS, row, strict=True)):
                if value is not None:
                    self._cell(self._line, place, column.kind, value)
            self._line += 1

    def end(self, totals: Totals) -> None:
        """Write the totals and the file."""
        if not self._sheets:
            self._new_sheet()
        sheet = self._book.add_worksheet("Totals")
        for line, (name, value) in enumerate(totals.as_dict().items()):
            sheet.write_string(line, 0, name, self._bold)
            if isinstance(value, str):
                sheet.write_string(line, 1, value)
            else:
                sheet.write_number(line, 1, value)
        self._book.close()

    def _new_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._book.add_worksheet("Usage" if self._sheets == 1 else f"Usage {self._sheets}")
        for place, name in enumerate(NAMES):
            self._sheet.write_string(0, place, name, self._bold)
        self._sheet.freeze_panes(1, 0)
        self._line = 1

    def _cell(self, line: int, place: int, kind: Kind, value: Any) -> None:
        if kind == "number":
            self._sheet.write_number(line, place, value)
        elif kind == "money":
            self._sheet.write_number(line, place, value / money.NANO, self._money)
        elif kind == "flag":
            self._sheet.write_boolean(line, place, value)
        else:
            self._sheet.write_string(line, place, _SHOWN_AS_STRING[kind](value)[:SHEET_CELL])


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _flag(value: Any) -> str:
    return "true" if value else "false"


_SHOWN: dict[Kind, Callable[[Any], Any]] = {
    "text": inert,
    "word": str,
    "number": int,
    "money": money.exact,
    "time": _time,
    "flag": _flag,
}
_TOLD: dict[Kind, Callable[[Any], Any]] = {
    "text": str,
    "word": str,
    "number": int,
    "money": money.exact,
    "time": _time,
    "flag": bool,
}
_SHOWN_AS_STRING: dict[Kind, Callable[[Any], str]] = {"text": str, "word": str, "time": _time}


def total_of(rows: int, tokens: int | None, cost_nano_usd: int | Decimal | None, priced: int) -> Totals:
    """Totals from what a database adds up (None of no rows)."""
    return Totals(rows, int(tokens or 0), int(cost_nano_usd or 0), rows - priced)
