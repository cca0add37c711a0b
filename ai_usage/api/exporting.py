"""``GET /ai/usage/export/``: usage as CSV, JSON lines or a workbook, in constant memory.

Rows come a few thousand at a time in the order of their numbers, up to the last one that there was when
the totals were added up: a file and its totals tell of the same rows, whatever is settled meanwhile.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Iterator
from itertools import chain
from typing import Any, BinaryIO

from django.db.models import Count, Max, QuerySet, Sum
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from ai_usage.domain import exports
from ai_usage.domain.exports import CsvWriter, JsonlWriter, Totals, Workbook, Writer
from megahub.kernel import clock, loop
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.shapes import Strict
from megahub.kernel.text import Text

Rows = QuerySet[Any]
CHUNK_ROWS = 5_000
BLOCK_BYTES = 256 * 1024
#: A workbook is written whole before its first byte is sent, some 10,000 rows a second.
WORKBOOK_ROWS = 200_000
WRITERS: dict[str, type[CsvWriter | JsonlWriter]] = {"csv": CsvWriter, "jsonl": JsonlWriter}
RESPONSES = {(200, kind): OpenApiTypes.BINARY for kind in exports.CONTENT_TYPES.values()}


class Asked(Strict):
    """The query beside the list's filters."""

    format = serializers.ChoiceField(choices=[*exports.CONTENT_TYPES], default="csv")


def answer(rows: Rows, format: str) -> StreamingHttpResponse:
    """The file. Raises ValidationFailed for more rows than a workbook is made of at once."""
    totals, last = _totals(rows)
    if format == "xlsx":
        if totals.rows > WORKBOOK_ROWS:
            text = Text(
                "{rows} rows are too many for a workbook ({limit}); narrow the period, or take csv.",
                rows=totals.rows,
                limit=WORKBOOK_ROWS,
            )
            raise ValidationFailed(field_errors={"format": [text]}, param="format")
        parts = _blocks(_workbook(rows, last, totals))
    else:
        parts = _lines(rows, last, WRITERS[format]())
    response = StreamingHttpResponse(parts, content_type=exports.CONTENT_TYPES[format])
    name = f"usage-{clock.now():%Y-%m-%d}.{format}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    for key, value in totals.as_dict().items():
        response[f"X-Export-{key.replace('_', '-').title()}"] = str(value)
    return response


def _totals(rows: Rows) -> tuple[Totals, int]:
    """What the rows add up to, and the number of the last one."""
    found = rows.order_by().aggregate(
        rows=Count("pk"),
        priced=Count("total_cost_nano_usd"),
        tokens=Sum("total_tokens"),
        cost=Sum("total_cost_nano_usd"),
        last=Max("pk"),
    )
    totals = exports.total_of(found["rows"], found["tokens"], found["cost"], found["priced"])
    return totals, found["last"] or 0


def _chunk(rows: Rows, after: int, last: int) -> list[tuple[Any, ...]]:
    """The next rows behind number ``after``; each begins with its own number."""
    following = rows.filter(pk__gt=after, pk__lte=last).order_by("pk")
    return list(following.values_list("pk", *exports.FIELDS)[:CHUNK_ROWS])


def _chunks(rows: Rows, last: int) -> Iterator[list[tuple[Any, ...]]]:
    after = 0
    while found := _chunk(rows, after, last):
        after = found[-1][0]
        yield found


async def _lines(rows: Rows, last: int, writer: Writer) -> AsyncGenerator[bytes]:
    """The file as it is written; reading and writing hold a thread, waiting for the client does not."""
    yield writer.begin()
    after = 0
    while True:
        after, part = await loop.in_thread(_part, rows, after, last, writer)
        if not part:
            return
        yield part


def _part(rows: Rows, after: int, last: int, writer: Writer) -> tuple[int, bytes]:
    found = _chunk(rows, after, last)
    return (found[-1][0], writer.rows(row[1:] for row in found)) if found else (after, b"")


def _workbook(rows: Rows, last: int, totals: Totals) -> BinaryIO:
    """The workbook in a temporary file that is gone when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever sends it
    with tempfile.TemporaryDirectory() as folder:
        book = Workbook(file, folder)
        book.rows(row[1:] for row in chain.from_iterable(_chunks(rows, last)))
        book.end(totals)
    file.seek(0)
    return file


async def _blocks(file: BinaryIO) -> AsyncGenerator[bytes]:
    with file:
        while block := await loop.in_thread(file.read, BLOCK_BYTES):
            yield block
