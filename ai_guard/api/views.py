"""``/ai/privacy/policy/`` and ``/ai/privacy/findings/``: for the company's administrators."""

from __future__ import annotations

from datetime import timedelta

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_guard.api import shapes
from ai_guard.services import findings, policies
from megahub.kernel import clock, trail
from megahub.kernel.shapes import read
from megahub.tenancy.authentication import HasScope, caller_of

MANAGE = "privacy:manage"


@extend_schema(tags=["privacy"])
class PolicyView(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = dict.fromkeys(("GET", "PUT", "PATCH"), MANAGE)

    @extend_schema(operation_id="privacy_policy_retrieve", responses=shapes.PolicyShape)
    def get(self, request: Request) -> Response:
        """What the company keeps of prompts and answers, and what it allows in them."""
        return Response(shapes.PolicyShape(policies.row_of(caller_of(request).company_id)).data)

    @extend_schema(
        operation_id="privacy_policy_update", request=shapes.PolicyShape, responses=shapes.PolicyShape
    )
    def put(self, request: Request) -> Response:
        """Set the policy for requests from now on; what is absent stays."""
        changes = read(shapes.PolicyShape, request.data)
        company_id = caller_of(request).company_id
        known = policies.row_of(company_id)
        with trail.change(request, "policy.change", known if known.pk else None) as change:
            row = policies.change(company_id, changes)
            change.about(row)
        return Response(shapes.PolicyShape(row).data)

    @extend_schema(
        operation_id="privacy_policy_partial_update",
        request=shapes.PolicyShape,
        responses=shapes.PolicyShape,
    )
    def patch(self, request: Request) -> Response:
        """The same as PUT."""
        return self.put(request)


@extend_schema(tags=["privacy"])
class FindingsView(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": MANAGE}

    @extend_schema(
        operation_id="privacy_findings",
        parameters=[shapes.FindingsQuery],
        responses=shapes.FindingsShape,
    )
    def get(self, request: Request) -> Response:
        """What the content filter flagged and blocked in the last days, counted."""
        days = read(shapes.FindingsQuery, request.query_params.dict())["days"]
        since = clock.now() - timedelta(days=days)
        found = findings.counted(caller_of(request).company_id, since)
        return Response(shapes.FindingsShape({"days": days, "findings": found}).data)
