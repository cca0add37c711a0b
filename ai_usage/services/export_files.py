"""Writing usage into a file: in constant memory, with the sums of the very rows that are in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any, BinaryIO

from django.db.models import QuerySet

from ai_usage.domain import exports
from ai_usage.domain.exports import NO_TOTALS, CsvWriter, JsonlWriter, Totals, Workbook
from ai_usage.selectors import exporting
from megahub.kernel import sql

Rows = QuerySet[Any]
#: Told after each chunk what is written so far.
Heard = Callable[[Totals], None]
WRITERS: dict[str, type[CsvWriter | JsonlWriter]] = {"csv": CsvWriter, "jsonl": JsonlWriter}


def write(rows: Rows, format: str, file: BinaryIO, heard: Heard = lambda _: None) -> Totals:
    """Write the rows; what they add up to. What ``heard`` raises ends it."""
    if format == "xlsx":
        return _workbook(rows, file, heard)
    if format == "csv" and sql.on_postgres():
        return _lines(rows, file, heard)
    writer = WRITERS[format]()
    file.write(writer.begin())
    return _each(rows, lambda found: file.write(writer.rows(found)), heard)


def _each(rows: Rows, take: Callable[[list[exports.Row]], Any], heard: Heard) -> Totals:
    sums, after = NO_TOTALS, None
    while True:
        found, after, some = exporting.chunk(rows, after)
        if after is None:
            return sums
        take(found)
        sums += some
        heard(sums)


def _lines(rows: Rows, file: BinaryIO, heard: Heard) -> Totals:
    sums, after = NO_TOTALS, None
    file.write(CsvWriter().begin())
    while True:
        text, after, some = exporting.lines(rows, after)
        if after is None:
            return sums
        file.write(text)
        sums += some
        heard(sums)


def _workbook(rows: Rows, file: BinaryIO, heard: Heard) -> Totals:
    with tempfile.TemporaryDirectory() as folder:
        book = Workbook(file, folder)
        sums = _each(rows, book.rows, heard)
        book.end(sums)
    return sums
