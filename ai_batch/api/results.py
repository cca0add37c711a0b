"""``GET /api/batch/{id}/results``: what has come of the lines, while it runs and afterwards."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from ai_batch import selectors
from ai_batch.api import forms, guide_documents
from ai_batch.domain.refusals import NoResultsYet
from ai_batch.models import Batch
from ai_batch.services import results
from ai_usage.domain.exports import CONTENT_TYPES
from megahub.kernel import loop
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller

TYPES = ("output", "error")
FORMATS = ("jsonl", "csv", "xlsx")
BLOCK_BYTES = 256 * 1024


@guide_documents.RESULTS
@for_caller(GET="jobs:read")
async def results_of(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """JSONL as the provider writes it, or a table with tokens and costs."""
    query = request.GET.dict()
    forms.refuse_unknown(query, ("type", "format"))
    kind, form = query.get("type", "output"), query.get("format", "jsonl")
    if kind not in TYPES:
        raise forms.wrong_value("type", kind, TYPES)
    if form not in FORMATS:
        raise forms.wrong_value("format", form, FORMATS)
    batch = await loop.in_thread(selectors.batch_of, caller, batch_id)
    if not batch.has_results:
        raise NoResultsYet
    is_error = kind == "error"
    if form == "xlsx":
        parts = _blocks(await loop.in_thread(_workbook, batch, is_error))
    else:
        make = results.as_jsonl if form == "jsonl" else results.as_csv
        parts = _parts(make(batch, is_error=is_error))
    response = StreamingHttpResponse(parts, content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{batch.batch_id}_{kind}.{form}"'
    return response


async def _parts(found: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a reader in a thread gives, a piece at a time."""
    while True:
        part = await loop.in_thread(next, found, None)
        if part is None:
            return
        yield part


def _workbook(batch: Batch, is_error: bool) -> IO[bytes]:
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever sends it
    with tempfile.TemporaryDirectory() as folder:
        results.as_workbook(batch, file, folder, is_error=is_error)
    file.seek(0)
    return file


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            yield block
