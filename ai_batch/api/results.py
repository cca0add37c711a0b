"""``GET /api/batch/{id}/results``: what has come of the lines, while it runs and afterwards."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotFound, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from ai_batch import selectors
from ai_batch.api import forms, guide_documents, links
from ai_batch.domain.refusals import NoResultsYet
from ai_batch.models import Batch
from ai_batch.services import results
from ai_usage.domain.exports import CONTENT_TYPES
from megahub.kernel import loop, scope
from megahub.kernel.requests import json_response
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
    forms.refuse_unknown(query, ("type", "format", "link"))
    kind, form = query.get("type", "output"), query.get("format", "jsonl")
    if kind not in TYPES:
        raise forms.wrong_value("type", kind, TYPES)
    if form not in FORMATS:
        raise forms.wrong_value("format", form, FORMATS)
    link = query.get("link", "false").lower()
    if link not in ("true", "false"):
        raise forms.wrong_value("link", query["link"], ("true", "false"))
    batch = await loop.in_thread(selectors.batch_of, caller, batch_id)
    if not batch.has_results:
        raise NoResultsYet
    if link == "true":
        return json_response(links.told(batch, kind, form))
    return await _file(batch, kind, form)


@require_safe
async def linked(request: HttpRequest, token: str) -> HttpResponseBase:
    """``GET /console/batches/results/{token}``: the file, for whoever has its link."""
    wanted = links.opened(token)
    if wanted is None:
        words = _("This link is not good, or not any more.")
        return HttpResponseNotFound(words, content_type="text/plain; charset=utf-8")
    scope.enter(wanted.company_id)
    batch = await loop.in_thread(selectors.batch_by_number, wanted.company_id, wanted.batch_pk)
    answer = await _file(batch, wanted.kind, wanted.form)
    answer.streaming_content = _of(wanted.company_id, answer.streaming_content)
    answer["Cache-Control"] = "private, no-store"
    return answer


async def _of(company_id: int, parts: Any) -> AsyncIterator[bytes]:
    """The parts, read as that company's: whoever sends them may do so in another context."""
    scope.enter(company_id)
    async for part in parts:
        yield part


async def _file(batch: Batch, kind: str, form: str) -> StreamingHttpResponse:
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
