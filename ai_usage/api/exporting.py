"""``GET /ai/usage/export/``: usage as a file; at once, or in the background when it is large."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from typing import Any, BinaryIO

from django.conf import settings
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ai_usage.api.export_shapes import ExportAccepted, shown
from ai_usage.domain import exports as files
from ai_usage.selectors import Scope, exporting
from ai_usage.services import export_files, exports
from megahub.kernel import clock, loop
from megahub.kernel.shapes import Strict
from megahub.kernel.snapshot import snapshot
from megahub.tenancy import selectors as tenancy
from megahub.tenancy.selectors import Caller

Rows = QuerySet[Any]
BLOCK_BYTES = 256 * 1024
IN_MEMORY = 4 * 1024 * 1024
RESPONSES: dict[Any, Any] = {
    **{(200, kind): OpenApiTypes.BINARY for kind in files.CONTENT_TYPES.values()},
    202: ExportAccepted,
}


class Asked(Strict):
    """The query beside the list's filters."""

    format = serializers.ChoiceField(choices=[*files.CONTENT_TYPES], default="csv")
    email = serializers.BooleanField(
        default=True, help_text="Mail to the caller when a file made in the background is ready."
    )

    def get_fields(self) -> dict[str, Any]:
        background = serializers.BooleanField(
            default=False, help_text="Make the file in the background, however small it is."
        )
        return {**super().get_fields(), "async": background}


#: Names of the query that are no filters.
OWN = frozenset(("format", "email", "async"))


def answer(request: Request, caller: Caller, scope: Scope, rows: Rows) -> HttpResponseBase:
    """The file, or where it will be."""
    query = request.query_params.dict()
    shape = Asked(data={name: value for name, value in query.items() if name in OWN})
    shape.is_valid(raise_exception=True)
    asked = shape.validated_data
    if not asked["async"] and not exporting.are_more_than(rows, settings.HUB_EXPORT_STREAM_ROWS):
        return _at_once(rows, asked["format"])
    filters = {name: value for name, value in query.items() if name not in OWN | {"ordering"}}
    address = tenancy.email_of(caller.user_id) if asked["email"] else ""
    to = [address] if address else []
    export = exports.ask(exports.Wanted(scope, asked["format"], filters, caller.user_id, to))
    told = shown(request, [export])[0]
    body = {"message": _("The export is being made"), "export": told}
    return Response(body, status=202, headers={"Location": told["url"]})


def _at_once(rows: Rows, format: str) -> StreamingHttpResponse:
    """The file with its totals, both of one moment."""
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by whoever sends it
    with snapshot():
        totals = export_files.write(rows, format, file)  # type: ignore[arg-type]
    size = file.tell()
    file.seek(0)
    response = StreamingHttpResponse(_blocks(file), content_type=files.CONTENT_TYPES[format])  # type: ignore[arg-type]
    response["Content-Length"] = str(size)
    response["Content-Disposition"] = f'attachment; filename="usage-{clock.now():%Y-%m-%d}.{format}"'
    for key, value in totals.as_dict().items():
        response[f"X-Export-{key.replace('_', '-').title()}"] = str(value)
    return response


async def _blocks(file: BinaryIO) -> AsyncGenerator[bytes]:
    with file:
        while block := await loop.in_thread(file.read, BLOCK_BYTES):
            yield block
