"""``POST /api/batch/validate``: what would become of a batch, by line and in figures; nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import IO, Any

from django.http import HttpRequest, HttpResponseBase

from ai_batch import selectors
from ai_batch.api import forms, guide_documents, orders, uploads
from ai_batch.api.uploads import Upload
from ai_batch.domain.lines import MAX_REQUESTS, Place, foreign, places
from ai_batch.domain.refusals import NoSuchFile
from ai_batch.services import files, making, trying
from ai_batch.services.trying import Trial
from ai_usage.services import limits
from megahub.kernel import body, fastlane, loop
from megahub.kernel.requests import json_response
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller

#: A large file is read in one thread at a time, so that others' requests keep a core.
READING = asyncio.Semaphore(1)


@guide_documents.VALIDATE
@for_caller(POST="inference")
@fastlane.takes_stream
async def validate(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """A file sent along (JSONL, CSV, a workbook), a list of requests, or a file uploaded before."""
    caller.require_brand()
    if request.META.get("CONTENT_TYPE", "").startswith("multipart/"):
        trial = await _of_form(await uploads.read(request), caller)
    else:
        trial = await _of_body(body.json_object(await orders.body_of(request)), caller)
    rooms = await loop.in_thread(trial.rooms, await limits.of(caller.company_id))
    return json_response({"success": True, **trying.told(trial, rooms)})


async def _trial(caller: Caller, fields: dict[str, Any]) -> Trial:
    policy = await loop.in_thread(selectors.policy_of, caller.company_id)
    return Trial(caller, fields["endpoint"], fields["engine_asked"], policy)


async def _of_form(upload: Upload, caller: Caller) -> Trial:
    try:
        if upload.file is None:
            raise forms.missing("file")
        fields = orders.fields_of_form(upload.texts)
        template = orders.template_of(upload.texts)
        kind = making.table_kind(upload.filename)
        if kind is None:
            forms.check_suffix(upload)
        trial = await _trial(caller, fields)
        path, model = upload.file.path, upload.texts.get("model") or None
        upload.file.close()
        async with READING:
            return await asyncio.to_thread(_read, trial, path.open("rb"), kind, model, template)
    finally:
        await upload.drop()


async def _of_body(asked: dict[str, Any], caller: Caller) -> Trial:
    if "requests" not in asked:
        fields = forms.batch_of({"completion_window": "24h", **asked})
        trial = await _trial(caller, fields)
        file = await loop.in_thread(selectors.file_of, caller, fields["input_file_id"])
        try:
            content = await asyncio.to_thread(files.open_content, file)
        except FileNotFoundError:
            raise NoSuchFile(param="input_file_id") from None
        async with READING:
            return await asyncio.to_thread(_read, trial, content, None, None, None)
    requests = asked.pop("requests")
    fields = orders.fields_of_requests(asked, requests)
    trial = await _trial(caller, fields)
    async with READING:
        return await asyncio.to_thread(trial.read, _numbered(making.of_requests(requests)))


def _read(trial: Trial, content: IO[bytes], kind: str | None, model: str | None, template: Any) -> Trial:
    """Read a file, which is closed then. Raises ValidationFailed for a table that is none."""
    with content:
        if kind is None:
            return trial.read(places(content), foreign(content.read(64)))
        return trial.read(_numbered(making.of_table(content, kind, trial.batch.endpoint, model, template)))


def _numbered(lines: Iterable[bytes]) -> Iterator[Place]:
    """Lines that lie in no file; those past one too many say nothing more."""
    for number, line in enumerate(lines, 1):
        yield Place(number, 0, line)
        if number > MAX_REQUESTS:
            return
