"""``/ai/privacy/erasures/`` and ``/ai/privacy/export/``: a person's data, deleted or handed out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from django.http import StreamingHttpResponse
from django.utils.translation import gettext
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
from megahub.kernel.errors import Forbidden
from megahub.kernel.shapes import Strict, read, refuse_unknown
from megahub.tenancy import members
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent
from megahub.tenancy.roles import Role
from megahub.tenancy.selectors import Caller

MANAGE = "privacy:manage"
#: A list shows the newest of these.
SHOWN = 200


class Person(Strict):
    """Whose data: one of the company's own users, or one of its members; owners ask for those."""

    end_user = serializers.CharField(
        max_length=MAX_END_USER,
        trim_whitespace=False,
        required=False,
        help_text="As in `user` or `safety_identifier`.",
    )
    member = serializers.IntegerField(
        min_value=1,
        max_value=2**63 - 1,
        required=False,
        help_text="`user_id` in `/auth/members/`, also of one who left. For owners, not with a key.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError({"end_user": [gettext("Name an end_user, or a member.")]})
        return attrs


class PersonQuery(Person):
    in_query = True


def person_of(caller: Caller, asked: dict[str, Any]) -> forgetting.Person:
    """Somebody's texts in the caller's company: none of who never sent any. Raises Forbidden."""
    if "member" in asked:
        members.require_manager(caller)
        if caller.role != Role.OWNER:
            raise Forbidden("A member's data is for owners to export and to erase.")
    return forgetting.Person(caller.company_id, asked.get("end_user", ""), asked.get("member"))


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
        """Delete every text that was sent for one of the company's own users, or by one of its members.

        Usage and costs stay, and so do a member's account and what the audit trail says of them.
        """
        asked, caller = read(Person, request.data), caller_of(request)
        person = person_of(caller, asked)
        with trail.change(request, "person.erase") as change:
            row = forgetting.erase_person(person, caller.user_id)
            change.about(row)
            if person.member is not None:
                change.after = {**(change.facts() or {}), "member": person.member}
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
        """All that is kept of one of the company's own users, or of one of its members, as JSON lines.

        That it was asked for is in the audit trail.
        """
        person = person_of(caller_of(request), read(PersonQuery, request.query_params.dict()))
        trail.note(request, "person.export", member=person.member)
        response = StreamingHttpResponse(_lines(person), content_type="application/jsonl")
        response["Content-Disposition"] = 'attachment; filename="person.jsonl"'
        return response


async def _lines(person: forgetting.Person) -> AsyncIterator[bytes]:
    after = -1
    while after:
        records, after = await loop.in_thread(forgetting.everything_of, person, max(after, 0))
        for record in records:
            yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE, default=str)
