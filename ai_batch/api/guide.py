"""``/api/batch/…``: the batch guide's surface, with its envelopes."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from ai_batch import selectors
from ai_batch.api import forms, guide_documents, once, orders, shapes
from ai_batch.domain import progress, tables
from ai_batch.models import Batch
from ai_batch.services import batches, remote
from ai_usage.services import rates
from megahub.kernel import clock, fastlane, loop, money, trail
from megahub.kernel.requests import json_response, with_headers
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller

LOOK_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
#: A stream asks its client to come back after so long: whoever may read no more is found out then.
STREAM_SECONDS = 55.0
SOURCES = ("api", "local")
CSV = "text/csv; charset=utf-8"


def shape(row: Batch) -> dict[str, Any]:
    """A batch as the guide has it: OpenAI's, with its progress, engine and links."""
    return {
        **shapes.batch(row),
        "progress": progress_of(row),
        "results_available": row.has_results,
        "engine_asked": row.engine_asked,
        "notify": row.notify,
        "sandbox": row.sandbox,
        "parent_id": row.parent.batch_id if row.parent else None,
        "input_filename": row.input_file.filename if row.input_file else None,
        "total_cost": money.show(row.cost_nano_usd),
    }


def progress_of(row: Batch) -> dict[str, Any]:
    """How far it has come."""
    return progress.of(
        status=row.status,
        total=row.total,
        done=sum(row.ended_so_far),
        began=row.in_progress_at,
        now=clock.now(),
        cost_nano_usd=row.cost_nano_usd,
        estimated_nano_usd=row.estimated_nano_usd,
    )


def said(batch: Batch) -> bytes:
    """``{success, batch}``."""
    return shapes.dumps({"success": True, "batch": shape(batch)})


@guide_documents.CREATE
@for_caller(POST="inference")
@fastlane.takes_stream
async def create(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``POST /api/batch/create``: of a list, of a file uploaded before, or of one sent along."""
    caller.require_brand()
    taken = await rates.take(caller, None, 0)
    return with_headers(await orders.create(request, caller, said), rates.headers(taken))


@guide_documents.UPLOAD
@for_caller(POST="jobs:write")
@fastlane.takes_stream
async def upload(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``POST /api/batch/upload``."""
    caller.require_brand()
    return await orders.upload(
        request, caller, lambda file: shapes.dumps({"success": True, "file": shapes.file(file)})
    )


@guide_documents.LIST
@for_caller(GET="jobs:read")
async def listed(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET /api/batch/list``: by cursor (``source=api``) or by offset (``source=local``)."""
    caller.require_brand()
    query = request.GET.dict()
    source = query.pop("source", "api")
    if source not in SOURCES:
        raise forms.wrong_value("source", source, SOURCES)
    found = await loop.in_thread(_by_cursor if source == "api" else _by_offset, caller, query)
    return json_response({"success": True, **found})


def _by_cursor(caller: Caller, query: dict[str, str]) -> dict[str, Any]:
    forms.refuse_unknown(query, ("limit", "after", *forms.FILTERS))
    limit = forms.limit_of(query, 20, 100)
    rows = selectors.filtered(selectors.batches_of(caller), forms.filters_of(query))
    found = selectors.page(rows, query.get("after"), limit, "batch_id")
    return shapes.listing(found, limit, shape)


def _by_offset(caller: Caller, query: dict[str, str]) -> dict[str, Any]:
    forms.refuse_unknown(query, ("limit", "offset", *forms.FILTERS))
    limit = forms.limit_of(query, 20, 100)
    offset = forms.offset_of(query)
    rows = selectors.filtered(selectors.batches_of(caller), forms.filters_of(query))
    page = shapes.listing(list(rows[offset : offset + limit + 1]), limit, shape)
    return {**page, "total": rows.count(), "offset": offset}


@guide_documents.STATS
@for_caller(GET="jobs:read")
async def stats(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET /api/batch/stats``, also as CSV."""
    query = request.GET.dict()
    forms.refuse_unknown(query, ("format",))
    kind = query.get("format", "json")
    if kind not in ("json", "csv"):
        raise forms.wrong_value("format", kind, ("json", "csv"))
    found = await loop.in_thread(selectors.statistics, caller)
    if kind == "json":
        return json_response({"success": True, "stats": found})
    return _table([("figure", "value"), *_flat("", found)], "batch-statistics.csv")


def _flat(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [row for key, below in value.items() for row in _flat(f"{prefix}{key}.", below)]
    return [(prefix.rstrip("."), value)]


def _table(rows: Any, filename: str) -> HttpResponse:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    response = HttpResponse(b"\xef\xbb\xbf" + text.getvalue().encode(), content_type=CSV)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


@guide_documents.TEMPLATE
@for_caller(GET=None)
async def template(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET /api/batch/template``: a table to begin with."""
    forms.refuse_unknown(request.GET.dict(), ())
    return _table(tables.SAMPLE, "batch-template.csv")


@guide_documents.ONE
@for_caller(GET="jobs:read")
async def one(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """``GET /api/batch/{id}``; ``refresh`` asks the provider first, where one runs it."""
    query = request.GET.dict()
    forms.refuse_unknown(query, ("refresh",))
    refresh = query.get("refresh", "true").lower()
    if refresh not in ("true", "false", "1", "0"):
        raise forms.wrong_value("refresh", query["refresh"], ("true", "false"))
    batch = await loop.in_thread(selectors.batch_of, caller, batch_id)
    may_refresh = refresh in ("true", "1") and batch.engine == "provider" and not batch.is_over
    if may_refresh and await remote.refresh(batch.pk):
        batch = await loop.in_thread(selectors.batch_of, caller, batch_id)
    return json_response(said(batch))


@guide_documents.CANCEL
@for_caller(POST="jobs:write")
async def cancel(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """``POST /api/batch/{id}/cancel``."""
    who = trail.origin_of(request, caller)
    found = await loop.in_thread(
        trail.within, who, "batch.cancel", "ai_batch.batch", batch_id, batches.cancel, caller, batch_id
    )
    return json_response(await loop.in_thread(said, found))


@guide_documents.RETRY
@for_caller(POST="inference")
async def retry_failed(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """``POST /api/batch/{id}/retry_failed``."""
    taken = await rates.take(caller, None, 0)
    made = await once.answered(request, caller, b"", lambda: said(batches.retry_failed(caller, batch_id)))
    return with_headers(made, rates.headers(taken))


@guide_documents.EVENTS
@for_caller(GET="jobs:read")
async def events(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """``GET /api/batch/{id}/events``: progress as server-sent events."""
    await loop.in_thread(selectors.batch_of, caller, batch_id)
    response = StreamingHttpResponse(_events(caller, batch_id), content_type="text/event-stream")
    response["X-Accel-Buffering"] = "no"
    return response


async def _events(caller: Caller, batch_id: str) -> AsyncIterator[bytes]:
    """An event ``progress`` for every change, then one named after the end."""
    seen, quiet, until = b"", 0.0, asyncio.get_running_loop().time() + STREAM_SECONDS
    while True:
        batch = await loop.in_thread(selectors.batch_of, caller, batch_id)
        told = shapes.dumps(shape(batch))
        name = batch.status if batch.is_over else "progress"
        mark = shapes.dumps(shapes.batch(batch))
        if mark != seen:
            seen, quiet = mark, 0.0
            yield b"event: %s\ndata: %s\n\n" % (name.encode(), told)
        elif quiet >= HEARTBEAT_SECONDS:
            quiet = 0.0
            yield b": keep-alive\n\n"
        if batch.is_over or asyncio.get_running_loop().time() > until:
            return
        await asyncio.sleep(LOOK_SECONDS)
        quiet += LOOK_SECONDS
