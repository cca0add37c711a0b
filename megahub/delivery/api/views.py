"""``/ai/webhooks/``: a company's endpoints, for its owners and administrators."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from megahub.delivery import selectors
from megahub.delivery.api import filters
from megahub.delivery.api import serializers as shapes
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import endpoints
from megahub.kernel import trail
from megahub.kernel.errors import Conflict
from megahub.kernel.refusals import named
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent

MANAGE = "webhooks:manage"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
NUMBER = r"[0-9]{1,18}"


def _checked(shape: type, request: Request) -> dict[str, Any]:
    serializer = shape(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


@extend_schema(tags=["webhooks"])
class Webhooks(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[WebhookEndpoint]):
    """The company's webhook endpoints."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = dict.fromkeys(METHODS, MANAGE)
    queryset = WebhookEndpoint.rows.none()
    serializer_class = shapes.EndpointShape
    filterset_class = filters.EndpointFilters
    ordering_fields = filters.ENDPOINT_ORDERING
    lookup_value_regex = NUMBER
    without = {"test": "a probe: each one is sent, and says that it is a test"}

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return selectors.endpoints_of(caller_of(self.request).company_id)

    def _endpoint(self) -> WebhookEndpoint:
        return selectors.endpoint_of(caller_of(self.request).company_id, int(self.kwargs["pk"]))

    @staticmethod
    def _with_secret(endpoint: WebhookEndpoint, secret: str, code: int) -> Response:
        endpoint.secret = secret  # type: ignore[attr-defined]
        return Response(shapes.MadeEndpoint(endpoint).data, status=code)

    @extend_schema(responses=shapes.EndpointShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """An endpoint, without its secret."""
        return Response(shapes.EndpointShape(self._endpoint()).data)

    @extend_schema(request=shapes.NewEndpoint, responses={201: shapes.MadeEndpoint})
    def create(self, request: Request) -> Response:
        """Register an endpoint. This answer is the only one that holds its secret."""
        asked = _checked(shapes.NewEndpoint, request)
        endpoints.check_address(asked["url"])
        with trail.change(request, "webhook.create") as change:
            endpoint, secret = endpoints.register(caller_of(request).company_id, asked)
            change.about(endpoint)
        return self._with_secret(endpoint, secret, status.HTTP_201_CREATED)

    @extend_schema(request=shapes.ChangedEndpoint, responses=shapes.EndpointShape)
    def update(self, request: Request, pk: str) -> Response:
        """Change an endpoint: what is absent stays."""
        endpoint = self._endpoint()
        asked = _checked(shapes.ChangedEndpoint, request)
        if asked.get("url", endpoint.url) != endpoint.url:
            endpoints.check_address(asked["url"])
        with trail.change(request, "webhook.change", endpoint):
            endpoints.change(endpoint, asked)
        return Response(shapes.EndpointShape(self._endpoint()).data)

    @extend_schema(request=shapes.ChangedEndpoint, responses=shapes.EndpointShape)
    def partial_update(self, request: Request, pk: str) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted, with its history.")})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an endpoint and the history of its deliveries."""
        endpoint = self._endpoint()
        with trail.change(request, "webhook.delete", endpoint, object_id=endpoint.pk):
            endpoints.delete(endpoint)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=shapes.Tried)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a `webhook.test` message now, once, and tell how it went."""
        endpoint = self._endpoint()
        row = endpoints.try_out(endpoint)
        trail.note(request, "webhook.test", endpoint, state=row.state)
        shown = shapes.DeliveryShape(row).data
        return Response({"success": row.state == "delivered", "delivery": shown})

    @extend_schema(request=None, responses=shapes.MadeEndpoint)
    @action(detail=True, methods=["post"])
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """A new secret, shown this once; messages carry both signatures for 24 hours."""
        endpoint = self._endpoint()
        with trail.change(request, "webhook.rotate_secret", endpoint):
            secret = endpoints.rotate_secret(endpoint)
        return self._with_secret(endpoint, secret, status.HTTP_200_OK)


@extend_schema(tags=["webhooks"])
class Deliveries(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[WebhookDelivery]):
    """What an endpoint was sent, or is to be, the newest first."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = dict.fromkeys(METHODS, MANAGE)
    queryset = WebhookDelivery.rows.none()
    serializer_class = shapes.DeliveryShape
    filterset_class = filters.DeliveryFilters
    ordering_fields = filters.DELIVERY_ORDERING
    lookup_value_regex = NUMBER

    def _endpoint(self) -> WebhookEndpoint:
        return selectors.endpoint_of(caller_of(self.request).company_id, int(self.kwargs["webhook_pk"]))

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        return selectors.deliveries_of(self._endpoint())

    @extend_schema(responses=shapes.DeliveryShape)
    def retrieve(self, request: Request, webhook_pk: str, pk: str) -> Response:
        """A delivery with its attempts."""
        return Response(shapes.DeliveryShape(selectors.delivery_of(self._endpoint(), int(pk))).data)

    @extend_schema(request=None, responses={202: shapes.Redelivered}, extensions=named(Conflict))
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, webhook_pk: str, pk: str) -> Response:
        """Send a message again, with the same id; it is retried like a new one."""
        endpoint = self._endpoint()
        delivery = selectors.delivery_of(endpoint, int(pk))
        with trail.change(request, "webhook.redeliver", delivery):
            endpoints.redeliver(delivery)
        shown = shapes.DeliveryShape(selectors.delivery_of(endpoint, int(pk))).data
        return Response({"message": "Delivery queued", "delivery": shown}, status=status.HTTP_202_ACCEPTED)
