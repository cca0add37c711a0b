"""``/ai/rate-limits/``: how many requests and tokens a minute; changed by owners and administrators."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_usage.api import rate_shapes as shapes
from ai_usage.models import RateLimit
from ai_usage.services import rate_limits
from megahub.kernel import trail
from megahub.kernel.errors import NotFound
from megahub.kernel.shapes import read
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent

MANAGE = "limits:manage"


@extend_schema(tags=["limits"])
class RateLimits(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[RateLimit]):
    """The company's rate limits."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "usage:read", **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), MANAGE)}
    queryset = RateLimit.rows.none()
    serializer_class = shapes.RateLimitShape
    ordering_fields = {name: name for name in ("id", "scope", "created_at")}
    lookup_value_regex = r"[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[RateLimit]:
        rows: QuerySet[RateLimit] = RateLimit.objects.of(caller_of(self.request).company_id)
        return rows.order_by("id")

    def _limit(self) -> RateLimit:
        found = self.get_queryset().filter(pk=int(self.kwargs["pk"])).first()
        if found is None:
            raise NotFound
        return found

    @extend_schema(responses=shapes.RateLimitShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """A rate limit."""
        return Response(shapes.RateLimitShape(self._limit()).data)

    @extend_schema(request=shapes.NewRateLimit, responses={201: shapes.RateLimitShape})
    def create(self, request: Request) -> Response:
        """Limit the whole company, one of its API keys, or its requests to a model; each once."""
        asked = read(shapes.NewRateLimit, request.data)
        with trail.change(request, "rate_limit.create") as change:
            row = rate_limits.make(caller_of(request).company_id, asked)
            change.about(row)
        return Response(shapes.RateLimitShape(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.ChangedRateLimit, responses=shapes.RateLimitShape)
    def update(self, request: Request, pk: str) -> Response:
        """Change a limit: what is absent stays. It holds everywhere within 5 seconds."""
        row = self._limit()
        shape = shapes.ChangedRateLimit(data=request.data, context={"row": row})
        shape.is_valid(raise_exception=True)
        with trail.change(request, "rate_limit.change", row):
            rate_limits.change(row, dict(shape.validated_data))
        return Response(shapes.RateLimitShape(row).data)

    @extend_schema(request=shapes.ChangedRateLimit, responses=shapes.RateLimitShape)
    def partial_update(self, request: Request, pk: str) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a limit."""
        row = self._limit()
        with trail.change(request, "rate_limit.delete", row, object_id=row.pk):
            rate_limits.delete(row)
        return Response(status=status.HTTP_204_NO_CONTENT)
