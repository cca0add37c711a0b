"""``/ai/usage/``: usage job by job, manual entries, the explanation of a charge."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_providers import selectors as providers
from ai_usage import selectors
from ai_usage.api import exporting, serializers
from ai_usage.api.filters import COUNTED, ORDERING, ExportFilterBackend, UsageFilterBackend
from ai_usage.api.pages import UsagePages
from ai_usage.models import AIJobUsage
from ai_usage.selectors import Extent, Scope, listing
from ai_usage.selectors.listing import UsageFilters
from ai_usage.services import explaining, manual
from megahub.kernel import trail
from megahub.kernel.errors import Conflict, NotFound, TooManyRequests
from megahub.kernel.filters import StrictOrderingFilter
from megahub.kernel.negotiation import OwnFormat
from megahub.kernel.refusals import named
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent

MOST_DIGITS = 18


@extend_schema(tags=["usage"])
class Usage(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[AIJobUsage]):
    """What each job used and cost, of the brands that the caller may enter."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "usage:read", "POST": "jobs:write"}
    queryset = AIJobUsage.rows.none()
    serializer_class = serializers.UsageRow
    filterset_class = UsageFilters
    filter_backends = (UsageFilterBackend, StrictOrderingFilter)
    ordering_fields = ORDERING
    pagination_class = UsagePages
    #: This request's; the backend keeps it here.
    filterset: UsageFilters
    lookup_value_regex = r"[0-9]{1,18}"

    @cached_property
    def usage_scope(self) -> Scope:
        """Whose rows: the list may name a brand, and played or real ones; its filters check the rest."""
        caller = caller_of(self.request)
        if self.action not in ("list", "export"):
            return selectors.scope_of(caller)
        asked = self.request.query_params
        sandbox = {"true": True, "false": False}.get(asked.get("sandbox", ""))
        brand = asked.get("ai_job__brand", "")
        named = brand.isascii() and brand.isdecimal() and len(brand) <= MOST_DIGITS
        return selectors.scope_of(caller, sandbox, int(brand) if named else None)

    @cached_property
    def known(self) -> Extent:
        """What the rollups know of the rows, by those of the filters that are their keys."""
        given = [(COUNTED[name], value) for name, value in self.filterset.given.items() if name in COUNTED]
        return selectors.extent(self.usage_scope, [(key, value) for key, value in given if key])

    def known_count(self) -> int | None:
        """How many rows there are, when the rollups know all that is filtered by."""
        return self.known.jobs if set(self.filterset.given) <= set(COUNTED) else None

    def get_queryset(self) -> QuerySet[AIJobUsage]:
        if getattr(self, "swagger_fake_view", False):
            return AIJobUsage.objects.none()
        return listing.listed(self.usage_scope)

    def get_serializer_context(self) -> dict[str, Any]:
        known = dict(super().get_serializer_context())
        if getattr(self, "swagger_fake_view", False):
            return known
        return {**known, "average_nano_per_token": listing.recent_average(self.usage_scope)}

    def _usage(self, number: int) -> AIJobUsage:
        """One row of the caller's brands, played or real. Raises NotFound, also for a foreign one."""
        scope = self.usage_scope
        for sandbox in (scope.sandbox, not scope.sandbox):
            own = Scope(scope.company_id, scope.brands, sandbox, scope.timezone)
            found = selectors.rated(selectors.usage_of(own)).filter(pk=number).first()
            if found is not None:
                self.usage_scope = own
                return found
        raise NotFound

    @extend_schema(responses=serializers.UsageRow)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One job's usage."""
        return Response(self.get_serializer(self._usage(int(pk))).data)

    @extend_schema(
        request=serializers.ManualUsage,
        responses={201: serializers.UsageRow},
        extensions=named(Conflict),
    )
    def create(self, request: Request) -> Response:
        """Tell of work that was done outside the hub: it is in the figures, and in no budget."""
        shape = serializers.ManualUsage(data=request.data)
        shape.is_valid(raise_exception=True)
        told = shape.validated_data
        caller, played = caller_of(request), told.pop("sandbox")
        brand_id = caller.require_brand()
        played = providers.plays(caller.company_id) if played is None else played
        with trail.change(request, "usage.create") as change:
            entry = manual.record(caller.company_id, brand_id, played, told)
            change.about(entry)
        return Response(self.get_serializer(self._usage(entry.pk)).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[exporting.Asked],
        filters=True,
        responses=exporting.RESPONSES,
        extensions=named(TooManyRequests),
    )
    @action(
        detail=False,
        pagination_class=None,
        content_negotiation_class=OwnFormat,
        filter_backends=(ExportFilterBackend,),
        ordering_fields=None,
    )
    def export(self, request: Request) -> HttpResponseBase:
        """Usage as a file, oldest first, with all filters of the list; its totals stand in the headers.

        Many rows (or `async=true`) are answered with 202: the file is made in the background, and can be
        followed and downloaded at `/ai/usage/exports/{id}/`.
        """
        rows = self.filter_queryset(self.get_queryset())
        return exporting.answer(request, caller_of(request), self.usage_scope, rows)

    @extend_schema(responses=serializers.ChargeExplained)
    @action(detail=True, methods=["get"], filter_backends=(), pagination_class=None)
    def explain(self, request: Request, pk: str) -> Response:
        """How a charge came about: tokens, price row, rate; reservation, settlement, adjustments."""
        told = explaining.explain(self._usage(int(pk)))
        return Response(serializers.ChargeExplained(told).data)
