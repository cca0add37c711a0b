"""``/ai/credentials/quota_status/`` and ``/ai/quotas/``: DRF, ordinary lane."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_usage.api import quota_shapes as shapes
from ai_usage.services import quotas
from megahub.kernel import clock, trail
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.shapes import refuse_unknown
from megahub.kernel.text import Text
from megahub.tenancy.authentication import HasScope, caller_of

SANDBOX = OpenApiParameter(
    "sandbox", bool, description="Played figures instead of real ones, or the other way round."
)
FLAGS = {"true": True, "false": False}


class QuotaStatusView(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "usage:read"}

    @extend_schema(
        tags=["quotas"],
        parameters=[OpenApiParameter("provider", str, required=True), SANDBOX],
        responses=shapes.QuotaStatus,
    )
    def get(self, request: Request) -> Response:
        """A provider's quota in the present month of the company's time zone, and where it will end."""
        asked = _asked(request, "provider", "sandbox")
        if "provider" not in asked:
            text = Text("This query parameter is required.")
            raise ValidationFailed(
                field_errors={"provider": [text]}, param="provider", suggestions=list(loading.PROVIDERS)
            )
        provider = providers.provider_named(asked["provider"]).name
        caller, moment = caller_of(request), clock.now()
        month = quotas.month_of(caller.timezone, moment)
        (quota,) = quotas.of_company(caller.company_id, month, [provider], _sandbox(asked))
        return Response(shapes.status_of(quota, month, caller.company_name, caller.timezone, moment))


class QuotasView(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "usage:read", "PUT": "credentials:manage"}

    @extend_schema(
        operation_id="quotas_list",
        tags=["quotas"],
        parameters=[SANDBOX],
        responses=shapes.QuotaShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """The company's quotas, one for each provider: a bare array."""
        asked = _asked(request, "sandbox")
        caller = caller_of(request)
        month = quotas.month_of(caller.timezone, clock.now())
        found = quotas.of_company(caller.company_id, month, loading.PROVIDERS, _sandbox(asked))
        return Response([shapes.row_of(quota, month) for quota in found])

    @extend_schema(tags=["quotas"], request=shapes.ChangedQuota, responses=shapes.QuotaShape)
    def put(self, request: Request) -> Response:
        """Change a provider's monthly limits: what is absent stays, null lifts a limit."""
        shape = shapes.ChangedQuota(data=request.data)
        shape.is_valid(raise_exception=True)
        caller, given = caller_of(request), shape.validated_data
        provider = providers.provider_named(given["provider"]).name
        with trail.change(
            request,
            "quota.change",
            kind="ai_usage.quota",
            object_id=provider,
            read=lambda: quotas.facts_of(caller.company_id, provider),
        ):
            quotas.set_limits(caller.company_id, provider, shape.by_unit(given))
        month = quotas.month_of(caller.timezone, clock.now())
        (quota,) = quotas.of_company(caller.company_id, month, [provider])
        return Response(shapes.row_of(quota, month))


def _asked(request: Request, *known: str) -> dict[str, Any]:
    """The query's parameters. Raises UnknownParameter for one that is not ``known``."""
    refuse_unknown(request.query_params, known, in_query=True)
    return dict(request.query_params.items())


def _sandbox(asked: dict[str, Any]) -> bool | None:
    raw = asked.get("sandbox")
    if raw is not None and raw not in FLAGS:
        text = Text("One of {choices}.", choices=list(FLAGS))
        raise ValidationFailed(field_errors={"sandbox": [text]}, param="sandbox", suggestions=list(FLAGS))
    return None if raw is None else FLAGS[raw]
