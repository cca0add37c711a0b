"""``/ai/privacy/erasures/`` and ``/ai/privacy/export/``: a person's data, deleted or handed out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_core.services import forgetting
from ai_core.services.accept import MAX_END_USER
from ai_guard.models import Erasure
from megahub.kernel import loop, trail
from megahub.kernel.shapes import Strict, read, refuse_unknown
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent

MANAGE = "privacy:manage"
#: A list shows the newest of these.
SHOWN = 200


class Person(Strict):
    end_user = serializers.CharField(
        max_length=MAX_END_USER, trim_whitespace=False, help_text="As in `user` or `safety_identifier`."
    )


class PersonQuery(Person):
    in_query = True


class ErasureShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    jobs = serializers.IntegerField(help_text="Jobs whose texts were deleted.")
    waiting = serializers.IntegerField(help_text="Jobs that had not ended: forgotten as soon as they do.")
    created_by = serializers.IntegerField(source="created_by_id", allow_null=True)
    created_at = serializers.DateTimeField()


@extend_schema(tags=["privacy"])
class Erasures(Idempotent, APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": MANAGE, "POST": MANAGE}

    @extend_schema(operation_id="privacy_erasures_list", responses=ErasureShape(many=True))
    def get(self, request: Request) -> Response:
        """The newest erasures; of whom, nobody can read."""
        refuse_unknown(request.query_params, (), in_query=True)
        rows = Erasure.objects.of(caller_of(request).company_id).order_by("-pk")[:SHOWN]
        return Response(ErasureShape(rows, many=True).data)

    @extend_schema(operation_id="privacy_erase", request=Person, responses={201: ErasureShape})
    def post(self, request: Request) -> Response:
        """Delete every text that was sent for one of the company's own users; usage and costs stay."""
        asked = read(Person, request.data)
        caller = caller_of(request)
        with trail.change(request, "person.erase") as change:
            row = forgetting.erase(caller.company_id, asked["end_user"], caller.user_id)
            change.about(row)
        return Response(ErasureShape(row).data, status=status.HTTP_201_CREATED)


@extend_schema(tags=["privacy"])
class PersonExport(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": MANAGE}

    @extend_schema(
        operation_id="privacy_export",
        parameters=[PersonQuery],
        responses={(200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All that is kept of one of the company's own users, as JSON lines."""
        asked = read(PersonQuery, request.query_params.dict())
        lines = _lines(caller_of(request).company_id, asked["end_user"])
        response = StreamingHttpResponse(lines, content_type="application/jsonl")
        response["Content-Disposition"] = 'attachment; filename="person.jsonl"'
        return response


async def _lines(company_id: int, end_user: str) -> AsyncIterator[bytes]:
    after = -1
    while after:
        records, after = await loop.in_thread(forgetting.everything, company_id, end_user, max(after, 0))
        for record in records:
            yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE, default=str)
