"""Files of requests that the hub writes itself: of a list, of a table, of a batch's failed lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import PurePath
from typing import IO, Any

import orjson

from ai_batch.domain import tables
from ai_batch.domain.lines import MAX_FILE_BYTES, MAX_REQUESTS
from ai_batch.domain.refusals import FileTooLarge, NothingToRetry
from ai_batch.models import Batch, StoredFile
from ai_batch.services import files
from ai_batch.services.files import Incoming, Owner
from megahub.kernel import clock

KEPT = timedelta(days=30)
TABLES = {".csv": "csv", ".xlsx": "xlsx"}


def table_kind(filename: str) -> str | None:
    """Which table a file is by its name; None when it is none."""
    return TABLES.get(PurePath(filename).suffix.lower())


def of_lines(owner: Owner, filename: str, lines: Iterable[bytes]) -> StoredFile:
    """A file of these lines. Raises FileTooLarge, StorageFull, what ``lines`` raises."""
    incoming = Incoming()
    try:
        block = bytearray()
        for number, line in enumerate(lines, 1):
            block += line
            if number > MAX_REQUESTS + 1:
                break  # one too many is enough to be told so
            if len(block) >= files.BLOCK_BYTES:
                incoming.write(bytes(block))
                block.clear()
            if incoming.bytes + len(block) > MAX_FILE_BYTES:
                raise FileTooLarge(param="file")
        incoming.write(bytes(block))
        return incoming.keep(owner, filename, "batch", clock.now() + KEPT)
    except BaseException:
        incoming.drop()
        raise


def of_blocks(owner: Owner, filename: str, blocks: Iterable[bytes]) -> StoredFile:
    """A file as it is. Raises FileTooLarge, StorageFull."""
    incoming = Incoming()
    try:
        for block in blocks:
            incoming.write(block)
            if incoming.bytes > MAX_FILE_BYTES:
                raise FileTooLarge(param="file")
        return incoming.keep(owner, filename, "batch", clock.now() + KEPT)
    except BaseException:
        incoming.drop()
        raise


def of_requests(requests: list[Any]) -> Iterator[bytes]:
    """A list of requests as JSONL."""
    return (orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in requests)


def of_table(
    file: IO[bytes], kind: str, endpoint: str, model: str | None, template: Any
) -> Iterator[bytes]:
    """A table's rows as JSONL. Raises ValidationFailed."""
    rows = tables.of_csv(file) if kind == "csv" else tables.of_workbook(file)
    return tables.requests(rows, endpoint, model, template)


def of_failed(batch: Batch) -> Iterator[bytes]:
    """The lines of a batch that did not succeed, as they were. Raises NothingToRetry."""
    source = batch.input_file
    if source is None or source.removed_at is not None:
        raise NothingToRetry("The batch's input file is gone; its lines cannot be run again.")
    failed = batch.lines.filter(status__in=("failed", "expired", "cancelled")).order_by("line_no")
    places = list(failed.values_list("offset", "length"))
    if not places:
        raise NothingToRetry
    with files.open_content(source) as content:
        for offset, length in places:
            content.seek(offset)
            yield content.read(length).rstrip(b"\r\n") + b"\n"
