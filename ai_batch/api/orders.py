"""What a new batch is made of: a file uploaded before, a list of requests, or a file sent along."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse

from ai_batch.api import compatible, forms, once, uploads
from ai_batch.api.uploads import Upload
from ai_batch.domain.lines import ENDPOINTS, MAX_REQUESTS
from ai_batch.models import Batch, StoredFile
from ai_batch.services import batches, making
from megahub.kernel import body, fastlane
from megahub.kernel.errors import BadRequest, ValidationFailed
from megahub.tenancy.selectors import Caller

FORM_KEYS = ("purpose", "endpoint", "completion_window", "metadata", "engine", "model", "template")
NUMBERS = ("max_attempts", "backoff_seconds")
FLAGS = ("notify",)


async def create(request: HttpRequest, caller: Caller, show: Callable[[Batch], bytes]) -> HttpResponse:
    """The answer about the batch that a request asks for. Raises what is wrong; then nothing is kept."""
    if request.META.get("CONTENT_TYPE", "").startswith("multipart/"):
        return await _of_form(request, caller, show)
    raw = await body_of(request)
    asked = body.json_object(raw)
    if "requests" in asked:
        requests = asked.pop("requests")
        fields = fields_of_requests(asked, requests)
    else:
        requests, fields = None, forms.batch_of(asked)

    def make() -> bytes:
        if requests is None:
            return show(batches.create(caller, fields))
        lines = making.of_requests(requests)
        file = making.of_lines(batches.owner_of(caller), "requests.jsonl", lines)
        return show(batches.create(caller, fields, file))

    return await once.answered(request, caller, raw, make)


async def body_of(request: HttpRequest) -> bytes:
    """The body of a request that is no form. Raises BadRequest when it broke off."""
    try:
        return await fastlane.read_body(request.scope, request.hub_receive)  # type: ignore[attr-defined]
    except fastlane.Disconnected as error:
        raise BadRequest("The upload broke off.") from error


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


async def upload(request: HttpRequest, caller: Caller, show: Callable[[StoredFile], bytes]) -> HttpResponse:
    """A file on its own: JSONL as it is, tables as the requests that they become."""
    upload = await uploads.read(request)
    try:
        sent = upload.sent
        upload.texts.setdefault("purpose", "batch")
        keep = _kept(upload, caller, upload.texts.get("endpoint", "/v1/chat/completions"))
        return await once.answered(request, caller, sent, lambda: show(keep()))
    finally:
        await upload.drop()


async def _of_form(request: HttpRequest, caller: Caller, show: Callable[[Batch], bytes]) -> HttpResponse:
    upload = await uploads.read(request)
    try:
        if upload.file is None:
            raise forms.missing("file")
        sent, fields = upload.sent, fields_of_form(upload.texts)
        if making.table_kind(upload.filename) is None:
            upload.texts = {"purpose": "batch"}  # the rest was the batch's
        keep = _kept(upload, caller, fields["endpoint"])
        return await once.answered(
            request, caller, sent, lambda: show(batches.create(caller, fields, keep()))
        )
    finally:
        await upload.drop()


def fields_of_form(texts: dict[str, str]) -> dict[str, Any]:
    """The fields of a batch of a file that is sent along. Raises ValidationFailed."""
    return forms.batch_of({"completion_window": "24h", **_asked(texts), "input_file_id": "-"})


def _asked(texts: dict[str, str]) -> dict[str, Any]:
    """A form's texts as the fields of a batch."""
    forms.refuse_unknown(texts, (*FORM_KEYS, *NUMBERS, *FLAGS))
    asked: dict[str, Any] = {
        name: text for name, text in texts.items() if name in forms.BATCH_KEYS and name != "metadata"
    }
    for name in NUMBERS:
        if name in texts:
            asked[name] = int(texts[name]) if texts[name].isdecimal() else texts[name]
    if "notify" in texts:
        asked["notify"] = {"true": True, "false": False}.get(texts["notify"].lower(), texts["notify"])
    if texts.get("metadata"):
        asked["metadata"] = _json("metadata", texts["metadata"])
    return asked


def _kept(upload: Upload, caller: Caller, endpoint: str) -> Callable[[], StoredFile]:
    """What makes an upload a file of the company: JSONL as it is, a table as its requests.

    Raises ValidationFailed.
    """
    kind = making.table_kind(upload.filename)
    if kind is not None and upload.file is not None:
        return _converted(upload, kind, caller, endpoint)
    forms.check_upload(upload)
    return partial(compatible.keep, caller, upload)


def _converted(upload: Upload, kind: str, caller: Caller, endpoint: str) -> Callable[[], StoredFile]:
    """What makes a table a file of requests; the table itself is not kept. Raises ValidationFailed."""
    assert upload.file is not None
    if endpoint not in ENDPOINTS:
        raise forms.wrong_value("endpoint", endpoint, ENDPOINTS)
    template = template_of(upload.texts)
    name = PurePath(forms.filename_of(upload)).stem + ".jsonl"
    path, model = upload.file.path, upload.texts.get("model") or None

    def keep() -> StoredFile:
        with path.open("rb") as table:
            lines = making.of_table(table, kind, endpoint, model, template)
            return making.of_lines(batches.owner_of(caller), name, lines)

    return keep


def template_of(texts: dict[str, str]) -> Any:
    """A form's template; None when it has none. Raises ValidationFailed."""
    return _json("template", texts["template"]) if texts.get("template") else None


def _json(name: str, text: str) -> Any:
    """An object that a form's text holds. Raises ValidationFailed."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise forms.wrong_type(name, "an object in JSON", text) from error
    if not isinstance(found, dict):
        raise forms.wrong_type(name, "an object", found)
    return found
