"""``/ai/usage/exports/``, ``/ai/usage/export-links/`` and ``/ai/usage/export-schedules/``."""

from __future__ import annotations

from typing import Any, cast

import django_filters as filters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_usage import selectors
from ai_usage.api import export_shapes as shapes
from ai_usage.domain.exports import CONTENT_TYPES
from ai_usage.models import Export, ExportSchedule
from ai_usage.selectors import exporting
from ai_usage.services import exports, schedules
from megahub.kernel import ranges, trail
from megahub.kernel.errors import Conflict, Forbidden, NotFound
from megahub.kernel.filters import OF_PAGES, Moment, Whole
from megahub.kernel.negotiation import OwnFormat
from megahub.kernel.ranges import Download
from megahub.kernel.refusals import named
from megahub.kernel.shapes import read, refuse_unknown
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent

NUMBER = r"[0-9]{1,18}"
READ, MANAGE = "usage:read", "webhooks:manage"
FILE: dict[Any, Any] = {
    **{(200, kind): OpenApiTypes.BINARY for kind in CONTENT_TYPES.values()},
    **{(206, kind): OpenApiTypes.BINARY for kind in CONTENT_TYPES.values()},
    304: OpenApiResponse(description="The caller has it (`If-None-Match`)."),
    416: OpenApiResponse(description="The file has no such bytes."),
}


class ExportFilters(filters.FilterSet):
    state = filters.ChoiceFilter(choices=Export.State.choices)
    format = filters.ChoiceFilter(choices=[(name, name) for name in CONTENT_TYPES])
    schedule = Whole(field_name="schedule_id")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")

    class Meta:
        model = Export
        fields: tuple[str, ...] = ()


def download_of(request: HttpRequest, export: Export) -> HttpResponseBase:
    """The file, whole or in part. Raises Conflict for an export that has none (yet, or any more).

    Raises NotFound for one whose file the storage lost.
    """
    if export.state != "ready":
        raise Conflict("This export is {state}.", state=export.state)
    download = Download(
        open=lambda: exports.open_file(export),
        size=export.size or 0,
        etag=export.sha256,
        content_type=CONTENT_TYPES[export.format],
        name=export.name,
    )
    try:
        return ranges.answer(request, download)
    except FileNotFoundError:
        raise NotFound from None


@extend_schema(tags=["usage"])
class Exports(mixins.ListModelMixin, viewsets.GenericViewSet[Export]):
    """Files of usage that were made in the background; asked for at `/ai/usage/export/`."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": READ, "DELETE": READ}
    queryset = Export.rows.none()
    serializer_class = shapes.ExportShape
    filterset_class = ExportFilters
    ordering_fields = {name: name for name in ("id", "created_at", "finished_at")}
    lookup_value_regex = NUMBER
    #: ``?format=`` is a filter here.
    content_negotiation_class = OwnFormat

    def get_queryset(self) -> QuerySet[Export]:
        if getattr(self, "swagger_fake_view", False):
            return Export.objects.none()
        return exporting.exports_of(caller_of(self.request))

    def _export(self) -> Export:
        found = exporting.exports_of(caller_of(self.request)).filter(pk=int(self.kwargs["pk"])).first()
        if found is None:
            raise NotFound
        return found

    @extend_schema(responses=shapes.ExportShape(many=True))
    def list(self, request: Request) -> Response:
        """The exports that the caller may see, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(shapes.shown(request, list(page or [])))

    @extend_schema(responses=shapes.ExportShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """How far an export is; once it is ready its sums and where it is downloaded."""
        return Response(shapes.shown(request, [self._export()])[0])

    @extend_schema(responses={204: OpenApiResponse(description="Cancelled or deleted.")})
    def destroy(self, request: Request, pk: str) -> Response:
        """Cancel an export that is being made, or delete a finished one with its file."""
        export, caller = self._export(), caller_of(request)
        if export.created_by_id != caller.user_id and MANAGE not in caller.scopes:
            raise Forbidden("Only who asked for an export, owners and administrators may delete it.")
        with trail.change(request, "export.delete", export, object_id=export.pk):
            exports.delete(export)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=FILE, filters=False, extensions=named(Conflict))
    @action(detail=True, pagination_class=None, filter_backends=())
    def download(self, request: Request, pk: str) -> HttpResponseBase:
        """The file; with `Range` a part of it, so that a download can be resumed."""
        return download_of(request._request, self._export())

    @extend_schema(responses=shapes.ExportTrailer, filters=False, extensions=named(Conflict))
    @action(detail=True, pagination_class=None, filter_backends=())
    def trailer(self, request: Request, pk: str) -> Response:
        """The file's trailer: rows, sums, digest and columns, as a JSON file to keep beside it."""
        export = self._export()
        if export.state not in ("ready", "expired"):
            raise Conflict("This export is {state}.", state=export.state)
        response = Response(shapes.trailer(export))
        response["Content-Disposition"] = f'attachment; filename="{export.name}.totals.json"'
        return response


class ExportLink(APIView):
    """The link of an e-mail or event: signed by the hub, good until the export expires."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = OwnFormat

    @extend_schema(
        tags=["usage"],
        operation_id="usage_export_link",
        responses=FILE,
        auth=[],
        extensions=named(Conflict),
    )
    def get(self, request: Request, token: str) -> HttpResponseBase:
        """The file of an export, for whoever has the link."""
        return download_of(request._request, exports.by_link(token))


@extend_schema(tags=["usage"])
class ExportSchedules(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[ExportSchedule]):
    """Exports of every day, week or month; made by owners and administrators."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": READ, **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), MANAGE)}
    queryset = ExportSchedule.rows.none()
    serializer_class = shapes.ScheduleShape
    ordering_fields = {name: name for name in ("id", "name", "next_start", "created_at")}
    lookup_value_regex = NUMBER

    def get_queryset(self) -> QuerySet[ExportSchedule]:
        return exporting.schedules_of(caller_of(self.request))

    def _schedule(self) -> ExportSchedule:
        found = self.get_queryset().filter(pk=int(self.kwargs["pk"])).first()
        if found is None:
            raise NotFound
        return found

    @extend_schema(responses=shapes.ScheduleShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """A schedule."""
        return Response(shapes.ScheduleShape(self._schedule()).data)

    @extend_schema(request=shapes.NewSchedule, responses={201: shapes.ScheduleShape})
    def create(self, request: Request) -> Response:
        """Make a schedule. The present day, week or month is exported first, once it has ended."""
        asked, caller = read(shapes.NewSchedule, request.data), caller_of(request)
        scope = selectors.scope_of(caller, asked.pop("sandbox"), asked.pop("brand_id"))
        with trail.change(request, "export_schedule.create") as change:
            made = schedules.make(scope, caller.user_id, asked)
            change.about(made)
        self.kwargs["pk"] = made.pk
        return Response(shapes.ScheduleShape(self._schedule()).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.ChangedSchedule, responses=shapes.ScheduleShape)
    def update(self, request: Request, pk: str) -> Response:
        """Change a schedule: what is absent stays; `is_paused` pauses it, and lets it go on."""
        schedule = self._schedule()
        shape = shapes.ChangedSchedule(data=request.data, context={"schedule": schedule})
        shape.is_valid(raise_exception=True)
        with trail.change(request, "export_schedule.change", schedule):
            schedules.change(schedule, dict(shape.validated_data))
        return Response(shapes.ScheduleShape(self._schedule()).data)

    @extend_schema(request=shapes.ChangedSchedule, responses=shapes.ScheduleShape)
    def partial_update(self, request: Request, pk: str) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted; its exports stay.")})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a schedule; what it has exported stays until it expires."""
        schedule = self._schedule()
        with trail.change(request, "export_schedule.delete", schedule, object_id=schedule.pk):
            schedule.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=shapes.ExportShape(many=True), filters=False)
    @action(detail=True, filter_backends=())
    def history(self, request: Request, pk: str) -> Response:
        """What a schedule has exported, the latest first."""
        refuse_unknown(request.query_params, OF_PAGES, in_query=True)
        found = exporting.exports_of(caller_of(request)).filter(schedule=self._schedule())
        return self.get_paginated_response(
            shapes.shown(request, list(self.paginate_queryset(cast(Any, found)) or []))
        )
