"""What has come of a batch's lines: as they are written, or as a table with costs; also while it runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO, Any

import orjson
import xlsxwriter

from ai_batch.models import Batch, Line
from ai_batch.services import files, finishing
from ai_usage.domain.exports import SHEET_CELL
from megahub.kernel import money
from megahub.kernel.text import inert

COLUMNS = (
    "line",
    "custom_id",
    "status",
    "status_code",
    "error",
    "answer",
    "model",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_usd",
)
AT_ONCE = 500


def as_jsonl(batch: Batch, *, is_error: bool) -> Iterator[bytes]:
    """The lines of one kind, in their order."""
    made = batch.error_file if is_error else batch.output_file
    if not batch.is_over:
        yield from finishing.blocks(batch, is_error=is_error)
    elif made is not None:
        with files.open_content(made) as content:
            while block := content.read(files.BLOCK_BYTES):
                yield block


def rows(batch: Batch, *, is_error: bool) -> Iterator[list[Any]]:
    """One row a line that has ended so: what was answered, the tokens and the cost."""
    texts = _texts(batch, is_error=is_error)
    ended = Line.objects.filter(batch=batch).exclude(status__in=("pending", "running"))
    wanted = ended.exclude(status="completed") if is_error else ended.filter(status="completed")
    after = 0
    while found := list(wanted.filter(line_no__gt=after).order_by("line_no")[:AT_ONCE]):
        for line in found:
            after = line.line_no
            raw = next(texts, None)
            if raw is None:
                return
            yield _row(batch, line, orjson.loads(raw))


def _texts(batch: Batch, *, is_error: bool) -> Iterator[bytes]:
    rest = b""
    for block in as_jsonl(batch, is_error=is_error):
        *whole, rest = (rest + block).split(b"\n")
        yield from whole


def _row(batch: Batch, line: Line, told: dict[str, Any]) -> list[Any]:
    body = (told.get("response") or {}).get("body") or {}
    error = told.get("error") or body.get("error") or {}
    return [
        line.line_no,
        told.get("custom_id"),
        line.status,
        line.status_code,
        error.get("message"),
        answer_of(body),
        batch.model,
        line.input_tokens,
        line.cached_tokens,
        line.output_tokens,
        line.reasoning_tokens,
        money.show(line.cost_nano_usd),
    ]


def answer_of(body: dict[str, Any]) -> str | None:
    """The text of an answer; what has none as JSON."""
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        first = choices[0]
        said = (first.get("message") or {}).get("content", first.get("text"))
        return said if isinstance(said, str) or said is None else orjson.dumps(said).decode()
    for key in ("output_text", "output", "results", "data"):
        if key in body:
            value = body[key]
            return value if isinstance(value, str) else orjson.dumps(value).decode()
    return None


def as_csv(batch: Batch, *, is_error: bool) -> Iterator[bytes]:
    """The rows as CSV; no cell can be run by a spreadsheet."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    yield b"\xef\xbb\xbf"
    for number, row in enumerate(rows(batch, is_error=is_error), 1):
        writer.writerow(
            [inert(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in row]
        )
        if number % AT_ONCE == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def as_workbook(batch: Batch, file: IO[bytes], folder: str, *, is_error: bool) -> None:
    """The rows as a workbook, written in constant memory; texts are texts."""
    options = {"constant_memory": True, "tmpdir": folder, "strings_to_formulas": False}
    book = xlsxwriter.Workbook(file, options | {"strings_to_urls": False})
    sheet = book.add_worksheet("Errors" if is_error else "Results")
    for place, name in enumerate(COLUMNS):
        sheet.write_string(0, place, name)
    for number, row in enumerate(rows(batch, is_error=is_error), 1):
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, place, cell[:SHEET_CELL])
            elif cell is not None:
                sheet.write_number(number, place, cell)
    book.close()
