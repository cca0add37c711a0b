"""``/v1/files`` and ``/v1/batches``: what OpenAI's own clients call, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import IO, Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from ai_batch import selectors
from ai_batch.api import documents, forms, once, shapes, uploads
from ai_batch.api.uploads import Upload
from ai_batch.domain.refusals import NoSuchFile
from ai_batch.models import StoredFile
from ai_batch.services import batches, files
from ai_batch.services.files import Owner
from ai_usage.services import rates
from megahub.kernel import body, fastlane, loop, trail
from megahub.kernel.requests import json_response, with_headers
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller

BLOCK_BYTES = 256 * 1024
FILES_AT_MOST = 10_000
ORDERS = ("asc", "desc")


@documents.FILES
@documents.UPLOAD
@for_caller(GET="jobs:read", POST="jobs:write")
@fastlane.takes_stream
async def all_files(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET`` and ``POST /v1/files``."""
    caller.require_brand()
    if request.method == "GET":
        return json_response(await loop.in_thread(_files, caller, request.GET.dict()))
    upload = await uploads.read(request)
    try:
        forms.check_upload(upload)
        return await once.answered(
            request, caller, upload.sent, lambda: shapes.dumps(shapes.file(keep(caller, upload))), 200
        )
    finally:
        await upload.drop()


def keep(caller: Caller, upload: Upload) -> StoredFile:
    """An upload that was checked as a file. Raises ValidationFailed, StorageFull."""
    expires_at = forms.expiry_of(upload.texts)
    assert upload.file is not None
    owner = Owner(caller.company_id, caller.require_brand(), caller.user_id)
    name, purpose = forms.filename_of(upload), upload.texts["purpose"]
    return upload.file.keep(owner, name, purpose, expires_at)


def _files(caller: Caller, query: dict[str, str]) -> dict[str, Any]:
    forms.refuse_unknown(query, ("purpose", "limit", "after", "order"))
    limit = forms.limit_of(query, FILES_AT_MOST, FILES_AT_MOST)
    order = query.get("order", "desc")
    if order not in ORDERS:
        raise forms.wrong_value("order", order, ORDERS)
    rows = selectors.files_of(caller)
    if "purpose" in query:
        if "\0" in query["purpose"]:
            raise forms.wrong_value("purpose", query["purpose"], forms.PURPOSES)
        rows = rows.filter(purpose=query["purpose"])
    found = selectors.page(rows, query.get("after"), limit, "file_id", oldest_first=order == "asc")
    return shapes.listing(found, limit, shapes.file)


@documents.FILE
@documents.FORGET_FILE
@for_caller(GET="jobs:read", DELETE="jobs:write")
async def one_file(request: HttpRequest, caller: Caller, file_id: str) -> HttpResponseBase:
    """``GET`` and ``DELETE /v1/files/{id}``."""
    file = await loop.in_thread(selectors.file_of, caller, file_id)
    if request.method == "GET":
        return json_response(shapes.file(file))
    who = trail.origin_of(request, caller)
    await loop.in_thread(
        trail.within, who, "file.delete", "ai_batch.storedfile", file_id, files.forget, file
    )
    return json_response({"id": file.file_id, "object": "file", "deleted": True})


@documents.CONTENT
@for_caller(GET="jobs:read")
async def file_content(request: HttpRequest, caller: Caller, file_id: str) -> HttpResponseBase:
    """``GET /v1/files/{id}/content``."""
    return await content_of(await loop.in_thread(selectors.file_of, caller, file_id))


async def content_of(file: StoredFile) -> HttpResponseBase:
    """A file's content as it is read. Raises NoSuchFile when the storage has it no more."""
    try:
        content = await asyncio.to_thread(files.open_content, file)
    except FileNotFoundError:
        raise NoSuchFile(param="id") from None
    response = StreamingHttpResponse(_read(content), content_type="application/octet-stream")
    response["Content-Length"] = str(file.bytes)
    response["Content-Disposition"] = f'attachment; filename="{file.file_id}"'
    return response


async def _read(content: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while block := await asyncio.to_thread(content.read, BLOCK_BYTES):
            yield block
    finally:
        content.close()


@documents.BATCHES
@documents.NEW_BATCH
@for_caller(GET="jobs:read", POST="inference")
async def all_batches(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET`` and ``POST /v1/batches``."""
    caller.require_brand()
    if request.method == "GET":
        return json_response(await loop.in_thread(listed, caller, request.GET.dict()))
    fields = forms.batch_of(body.json_object(request.body))
    taken = await rates.take(caller, None, 0)
    response = await once.answered(
        request,
        caller,
        request.body,
        lambda: shapes.dumps(shapes.batch(batches.create(caller, fields))),
        200,
    )
    return with_headers(response, rates.headers(taken))


def listed(caller: Caller, query: dict[str, str]) -> dict[str, Any]:
    """A page of batches by cursor."""
    forms.refuse_unknown(query, ("limit", "after"))
    limit = forms.limit_of(query, 20, 100)
    found = selectors.page(selectors.batches_of(caller), query.get("after"), limit, "batch_id")
    return shapes.listing(found, limit, shapes.batch)


@documents.BATCH
@for_caller(GET="jobs:read")
async def one_batch(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """``GET /v1/batches/{id}``."""
    return json_response(shapes.batch(await loop.in_thread(selectors.batch_of, caller, batch_id)))


@documents.CANCEL
@for_caller(POST="jobs:write")
async def cancel_batch(request: HttpRequest, caller: Caller, batch_id: str) -> HttpResponseBase:
    """``POST /v1/batches/{id}/cancel``."""
    who = trail.origin_of(request, caller)
    found = await loop.in_thread(
        trail.within, who, "batch.cancel", "ai_batch.batch", batch_id, batches.cancel, caller, batch_id
    )
    return json_response(shapes.batch(found))
