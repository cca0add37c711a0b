"""What a new batch is made of: a file uploaded before, a list of requests, or a file sent along."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Any

import orjson
from django.http import HttpRequest

from ai_batch.api import compatible, forms, uploads
from ai_batch.api.uploads import Upload
from ai_batch.domain.lines import ENDPOINTS, MAX_REQUESTS
from ai_batch.models import Batch, StoredFile
from ai_batch.services import batches, making
from megahub.kernel import body, fastlane, loop
from megahub.kernel.errors import BadRequest, ValidationFailed
from megahub.tenancy.selectors import Caller

TABLES = {".csv": "csv", ".xlsx": "xlsx"}
FORM_KEYS = ("purpose", "endpoint", "completion_window", "metadata", "engine", "model", "template")
NUMBERS = ("max_attempts", "backoff_seconds")


async def create(request: HttpRequest, caller: Caller) -> Batch:
    """The batch that a request asks for. Raises what is wrong with it; then nothing is kept."""
    if request.META.get("CONTENT_TYPE", "").startswith("multipart/"):
        return await _of_form(await uploads.read(request), caller)
    try:
        raw = await fastlane.read_body(request.scope, request.hub_receive)  # type: ignore[attr-defined]
    except fastlane.Disconnected as error:
        raise BadRequest("The upload broke off.") from error
    asked = body.json_object(raw)
    if "requests" not in asked:
        return await loop.in_thread(batches.create, caller, forms.batch_of(asked))
    requests = asked.pop("requests")
    fields = fields_of_requests(asked, requests)
    return await loop.in_thread(_kept, caller, fields, "requests.jsonl", making.of_requests(requests))


def fields_of_requests(asked: dict[str, Any], requests: Any) -> dict[str, Any]:
    """The fields of a batch of a list of requests. Raises ValidationFailed."""
    if asked.get("input_file_id") is not None:
        message = "Give either 'requests' or 'input_file_id', not both."
        raise ValidationFailed(message, param="input_file_id")
    if not isinstance(requests, list) or not all(isinstance(each, dict) for each in requests):
        raise forms.wrong_type("requests", "an array of objects", requests)
    if not 1 <= len(requests) <= MAX_REQUESTS:
        raise forms.out_of_range("requests", 1, MAX_REQUESTS)
    return forms.batch_of({"completion_window": "24h", **asked, "input_file_id": "-"})


async def upload(request: HttpRequest, caller: Caller) -> StoredFile:
    """A file on its own: JSONL as it is, tables as the requests that they become."""
    upload = await uploads.read(request)
    kind = TABLES.get(PurePath(upload.filename).suffix.lower())
    upload.texts.setdefault("purpose", "batch")
    if kind is None or upload.file is None:
        return await compatible.kept(caller, upload)
    return await _converted(upload, kind, caller, upload.texts.get("endpoint", "/v1/chat/completions"))


async def _of_form(upload: Upload, caller: Caller) -> Batch:
    try:
        if upload.file is None:
            raise forms.missing("file")
        fields = fields_of_form(upload.texts)
        kind = TABLES.get(PurePath(upload.filename).suffix.lower())
    except BaseException:
        await upload.drop()
        raise
    if kind is None:
        upload.texts = {"purpose": "batch"}
        file = await compatible.kept(caller, upload)
    else:
        file = await _converted(upload, kind, caller, fields["endpoint"])
    fields.pop("input_file_id")
    return await loop.in_thread(batches.create, caller, fields, file)


def fields_of_form(texts: dict[str, str]) -> dict[str, Any]:
    """The fields of a batch of a file that is sent along. Raises ValidationFailed."""
    return forms.batch_of({"completion_window": "24h", **_asked(texts), "input_file_id": "-"})


def _asked(texts: dict[str, str]) -> dict[str, Any]:
    """A form's texts as the fields of a batch."""
    forms.refuse_unknown(texts, (*FORM_KEYS, *NUMBERS))
    asked: dict[str, Any] = {
        name: text for name, text in texts.items() if name in forms.BATCH_KEYS and name != "metadata"
    }
    for name in NUMBERS:
        if name in texts:
            asked[name] = int(texts[name]) if texts[name].isdecimal() else texts[name]
    if texts.get("metadata"):
        asked["metadata"] = json_of("metadata", texts["metadata"])
    return asked


async def _converted(upload: Upload, kind: str, caller: Caller, endpoint: str) -> StoredFile:
    """A table as a file of requests; the table itself is not kept."""
    assert upload.file is not None
    try:
        if endpoint not in ENDPOINTS:
            raise forms.wrong_value("endpoint", endpoint, ENDPOINTS)
        template = None
        if upload.texts.get("template"):
            template = json_of("template", upload.texts["template"])
        name = PurePath(forms.filename_of(upload)).stem + ".jsonl"
        return await asyncio.to_thread(
            _table, upload, kind, endpoint, upload.texts.get("model") or None, template, caller, name
        )
    finally:
        await upload.drop()


def _table(
    upload: Upload, kind: str, endpoint: str, model: str | None, template: Any, caller: Caller, name: str
) -> StoredFile:
    assert upload.file is not None
    with upload.file.path.open("rb") as table:
        lines = making.of_table(table, kind, endpoint, model, template)
        return making.of_lines(batches.owner_of(caller), name, lines)


def _kept(caller: Caller, fields: dict[str, Any], name: str, lines: Any) -> Batch:
    file = making.of_lines(batches.owner_of(caller), name, lines)
    fields = {key: value for key, value in fields.items() if key != "input_file_id"}
    return batches.create(caller, fields, file)


def json_of(name: str, text: str) -> Any:
    """An object that a form's text holds. Raises ValidationFailed."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise forms.wrong_type(name, "an object in JSON", text) from error
    if not isinstance(found, dict):
        raise forms.wrong_type(name, "an object", found)
    return found
