"""``GET /api/ai/security/audit``: a company's trail, for its owners and administrators."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from megahub.audit import selectors
from megahub.audit.api.filters import TrailFilters
from megahub.audit.api.serializers import EntryShape
from megahub.audit.domain import tables
from megahub.audit.models import AuditEntry
from megahub.kernel import clock, loop
from megahub.kernel.filters import StrictFilterBackend
from megahub.kernel.negotiation import OwnFormat
from megahub.kernel.shapes import Strict, read
from megahub.tenancy.authentication import HasScope, caller_of

CHUNK = 2_000
FORMAT = OpenApiParameter("format", enum=["json", "csv"], description="`csv`: all that was filtered.")


class Asked(Strict):
    format = serializers.ChoiceField(choices=["json", "csv"], default="json")


class Trail(viewsets.GenericViewSet[AuditEntry]):
    """What was changed in the company, the newest first."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "audit:read"}
    queryset = AuditEntry.rows.none()
    serializer_class = EntryShape
    filterset_class = TrailFilters
    filter_backends = (StrictFilterBackend,)
    content_negotiation_class = OwnFormat

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return selectors.trail_of(caller_of(self.request).company_id)

    @extend_schema(
        tags=["security"],
        operation_id="security_audit",
        parameters=[FORMAT],
        responses={
            (200, "application/json"): EntryShape(many=True),
            (200, "text/csv"): OpenApiTypes.BINARY,
        },
    )
    def list(self, request: Request) -> HttpResponseBase:
        """Who changed what, when, from where; each entry is chained to the one before it."""
        asked = read(Asked, {"format": request.query_params.get("format", "json")})
        rows = self.filter_queryset(self.get_queryset())
        if asked["format"] == "csv":
            return _file(rows)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(EntryShape(page, many=True).data)


def _file(rows: QuerySet[AuditEntry]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(_parts(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="audit-{clock.now():%Y-%m-%d}.csv"'
    return response


async def _parts(rows: QuerySet[AuditEntry]) -> AsyncGenerator[bytes]:
    """The file, oldest entry first, a chunk at a time."""
    yield tables.header()
    after = 0
    while found := await loop.in_thread(_chunk, rows, after):
        yield tables.lines(found)
        after = found[-1][0]


def _chunk(rows: QuerySet[AuditEntry], after: int) -> list[tuple[Any, ...]]:
    following = rows.filter(seq__gt=after).order_by("seq")
    return [tuple(row) for row in following.values_list(*tables.COLUMNS)[:CHUNK]]
