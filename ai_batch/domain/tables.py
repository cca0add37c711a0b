"""CSV and workbooks in, JSONL out: a table's rows as requests by a template. Pure.

Without a template the columns speak for themselves: ``prompt`` (or ``input``) and optionally
``custom_id``, ``system``, ``model``, ``temperature``, ``max_tokens``. A template is the request's body
with ``{{column}}`` wherever a cell belongs.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Any

import orjson
from python_calamine import CalamineError, CalamineWorkbook

from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import Text

PLACE = re.compile(r"\{\{\s*([^{}]{1,80}?)\s*\}\}")
#: What a workbook may hold when it is unpacked, and how much smaller it may be packed.
MAX_UNPACKED = 128 * 1024 * 1024
MAX_RATIO = 100
MAX_PARTS = 2000
MAX_CELL = 1024 * 1024
COLUMNS = ("custom_id", "system", "prompt", "input", "model", "temperature", "max_tokens")
#: What a new table may begin with.
SAMPLE = (
    ("custom_id", "system", "prompt", "model", "max_tokens"),
    ("translation-1", "Translate into French.", "Good morning", "gpt-4o-mini", "100"),
)

Row = dict[str, Any]


def wrong(field: str, text: Text) -> ValidationFailed:
    """What is wrong with a table or with how it is to be read."""
    return ValidationFailed(field_errors={field: [text]}, param=field)


def of_csv(file: IO[bytes]) -> Iterator[Row]:
    """The rows of a CSV file: UTF-8, with a header; separated by commas, semicolons or tabs."""
    csv.field_size_limit(MAX_CELL)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        head = text.readline()
        separator = max(",;\t", key=head.count)
        names = _names(next(csv.reader([head], delimiter=separator), []))
        for row in csv.reader(text, delimiter=separator):
            if any(row):
                yield dict(zip(names, row, strict=False))
    except UnicodeDecodeError as error:
        raise wrong("file", Text("The file is not text in UTF-8.")) from error
    except csv.Error as error:
        raise wrong("file", Text("The table could not be read: {reason}.", reason=str(error))) from error
    finally:
        with suppress(ValueError):  # whoever reads no further may have closed the file
            text.detach()


def of_workbook(file: IO[bytes]) -> Iterator[Row]:
    """The rows of a workbook's first sheet. Raises ValidationFailed for one that grows when unpacked."""
    check_archive(file)
    file.seek(0)
    try:
        sheet = CalamineWorkbook.from_filelike(file).get_sheet_by_index(0)
        rows = sheet.iter_rows()
    except (CalamineError, OSError, ValueError) as error:
        raise wrong(
            "file", Text("The table could not be read: {reason}.", reason=str(error)[:200])
        ) from error
    names: list[str] | None = None
    for row in rows:
        cells = [_plain(cell) for cell in row]
        if not any(cell != "" for cell in cells):
            continue
        if names is None:
            names = _names(cells)
            continue
        yield dict(zip(names, cells, strict=False))


def check_archive(file: IO[bytes]) -> None:
    """Refuse what is no workbook, or is out of all proportion, before anything is unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile as error:
        raise wrong("file", Text("The file is not a workbook (.xlsx).")) from error
    unpacked = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts) or 1
    if len(parts) > MAX_PARTS or unpacked > MAX_UNPACKED or unpacked / packed > MAX_RATIO:
        raise wrong("file", Text("The workbook is too large when it is unpacked."))


def _names(cells: list[Any]) -> list[str]:
    names = [str(cell).strip() for cell in cells]
    if not any(names):
        raise wrong("file", Text("The table has no header with the columns' names."))
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise wrong("file", Text("The column '{name}' is there twice.", name=twice[0][:80]))
    return names


def _plain(cell: Any) -> Any:
    """A cell as JSON knows it: whole numbers without a fraction, moments as texts."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if isinstance(cell, str | int | float | bool) else str(cell)


def requests(rows: Iterable[Row], endpoint: str, model: str | None, template: Any) -> Iterator[bytes]:
    """The rows as lines of JSONL. Raises ValidationFailed."""
    count = 0
    for count, row in enumerate(rows, 1):
        custom_id = str(row.get("custom_id") or f"row-{count}")
        body = _filled(template, row) if template is not None else _body(row, endpoint, count)
        if model is not None and isinstance(body, dict):
            body.setdefault("model", model)
        line = {"custom_id": custom_id, "method": "POST", "url": endpoint, "body": body}
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    if not count:
        raise wrong("file", Text("The table has no rows."))


def _filled(template: Any, row: Row) -> Any:
    """The template with cells in their places; a place that is all of a text keeps the cell's type."""
    if isinstance(template, str):
        whole = PLACE.fullmatch(template)
        if whole:
            return _cell(row, whole[1])
        return PLACE.sub(lambda found: str(_cell(row, found[1])), template)
    if isinstance(template, dict):
        return {key: _filled(value, row) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, row) for value in template]
    return template


def _cell(row: Row, name: str) -> Any:
    if name not in row:
        raise wrong("template", Text("The table has no column '{name}'.", name=name))
    return row[name]


def _body(row: Row, endpoint: str, count: int) -> dict[str, Any]:
    """A request of the columns that speak for themselves."""
    unknown = sorted(name for name in row if name and name not in COLUMNS)
    if unknown:
        odd = Text("Unknown column '{name}'; name your columns in a template.", name=unknown[0][:80])
        raise wrong("file", odd)
    text = row.get("prompt") or row.get("input")
    if text in (None, ""):
        raise wrong("file", Text("Row {number} has no prompt.", number=count))
    body: dict[str, Any] = {}
    if row.get("model"):
        body["model"] = row["model"]
    if endpoint == "/v1/chat/completions":
        system = [{"role": "system", "content": str(row["system"])}] if row.get("system") else []
        body["messages"] = [*system, {"role": "user", "content": str(text)}]
    else:
        body["prompt" if endpoint == "/v1/completions" else "input"] = str(text)
    for name, kind in (("temperature", float), ("max_tokens", int)):
        if row.get(name) not in (None, ""):
            body[name] = _number(name, row[name], kind, count)
    return body


def _number(name: str, cell: Any, kind: Any, count: int) -> Any:
    try:
        return kind(cell)
    except (TypeError, ValueError) as error:
        text = Text("Row {number}: '{name}' is not a number.", number=count, name=name)
        raise wrong("file", text) from error
