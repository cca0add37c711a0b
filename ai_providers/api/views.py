"""``/ai/providers/`` and ``/ai/credentials/``: DRF, ordinary lane."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_providers import selectors, services
from ai_providers.api import serializers as shapes
from ai_providers.api.filters import HISTORY_ORDERING, HistoryFilters
from ai_providers.models import AICredentials, AIProvider, SealedKey
from ai_providers.services import connections
from megahub.kernel import loop, trail
from megahub.kernel.errors import NotFound
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import Idempotent
from megahub.tenancy.selectors import Caller


@extend_schema(tags=["providers"])
class Providers(mixins.ListModelMixin, viewsets.GenericViewSet[AIProvider]):
    """The providers, a bare array. ``{ref}`` is the number or the name."""

    queryset = AIProvider.objects.all()
    serializer_class = shapes.ProviderShape
    pagination_class = None
    lookup_field = "ref"
    lookup_value_regex = r"[A-Za-z0-9_-]{1,40}"

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if getattr(self, "swagger_fake_view", False):
            return context
        return {**context, "models": selectors.callable_models()}

    @extend_schema(responses=shapes.ProviderShape)
    def retrieve(self, request: Request, ref: str) -> Response:
        """One provider."""
        return Response(self.get_serializer(selectors.provider_of(ref)).data)

    @extend_schema(responses=shapes.HealthByName)
    @action(detail=False, methods=["get"], filter_backends=[])
    def health(self, request: Request) -> Response:
        """Ask every provider for its models (a free call) with the caller's credentials, all at once."""
        probes = loop.run(connections.health(caller_of(request).company_id))
        return Response({probe.provider: shapes.health_of(probe) for probe in probes})


@extend_schema(tags=["credentials"])
class Credentials(Idempotent, viewsets.GenericViewSet[AICredentials]):
    """The company's one row of credentials. Keys go in and never come out."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {
        "GET": "usage:read",
        "POST": "credentials:manage",
        "PUT": "credentials:manage",
        "PATCH": "credentials:manage",
        "DELETE": "credentials:manage",
    }
    queryset = AICredentials.rows.none()
    serializer_class = shapes.CredentialsShape
    filter_backends = ()
    pagination_class = None
    lookup_value_regex = r"[0-9]{1,18}"
    without = {"test_connection": "a probe: each one is asked, nothing is made"}

    @extend_schema(operation_id="credentials_read", responses=shapes.CredentialsShape)
    def list(self, request: Request) -> Response:
        """The company's credentials; ``id`` is null as long as nothing is stored."""
        return Response(_told(caller_of(request)))

    @extend_schema(operation_id="credentials_read_by_id", responses=shapes.CredentialsShape)
    def retrieve(self, request: Request, pk: str) -> Response:
        """The same by its number."""
        self._require(request, pk)
        return Response(_told(caller_of(request)))

    @extend_schema(request=shapes.ChangedCredentials, responses={200: shapes.StoredCredentials})
    def create(self, request: Request) -> Response:
        """Store keys and settings: an upsert. What is absent stays; null removes a key."""
        return self._store(request)

    @extend_schema(request=shapes.ChangedCredentials, responses=shapes.StoredCredentials)
    def update(self, request: Request, pk: str) -> Response:
        """The same as POST, for credentials that are there."""
        self._require(request, pk)
        return self._store(request)

    @extend_schema(request=shapes.ChangedCredentials, responses=shapes.StoredCredentials)
    def partial_update(self, request: Request, pk: str) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(responses={204: OpenApiResponse(description="Taken away; the history stays.")})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take the credentials away: every key is retired. What was stored stays in the history."""
        self._require(request, pk)
        caller = caller_of(request)
        with trail.change(request, "credentials.delete", **_named(caller)):
            services.empty(caller.company_id, caller.user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=shapes.AskedConnection, responses=shapes.ConnectionShape)
    @action(detail=False, methods=["post"])
    def test_connection(self, request: Request) -> Response:
        """Ask a provider's cheapest model for one token with the key that jobs would use.

        200 in either case: ``success`` says how it went. A refused key is marked, a sound one cleared.
        """
        shape = shapes.AskedConnection(data=request.data)
        shape.is_valid(raise_exception=True)
        provider = selectors.provider_named(shape.validated_data["provider"])
        probe = loop.run(connections.say_a_word(caller_of(request).company_id, provider.name))
        trail.note(request, "credentials.test", provider=provider.name, outcome=probe.status)
        return Response(shapes.connection_of(probe))

    @staticmethod
    def _require(request: Request, pk: str) -> None:
        """Raise NotFound unless the number is that of the caller's own row."""
        row = selectors.credentials_of(caller_of(request).company_id)
        if row is None or row.pk != int(pk):
            raise NotFound

    @staticmethod
    def _store(request: Request) -> Response:
        shape = shapes.ChangedCredentials(data=request.data)
        shape.is_valid(raise_exception=True)
        caller, given = caller_of(request), shape.validated_data
        with trail.change(request, "credentials.store", **_named(caller)):
            services.store_keys(
                caller.company_id, shape.keys(given), by=caller.user_id, **shape.settings(given)
            )
        told = _told(caller)
        configured = [name for name in shapes.PROVIDERS if told[f"has_{name}_key"]]
        message = gettext("Credentials updated successfully")
        return Response({"message": message, **told, "providers_configured": configured})


@extend_schema(tags=["credentials"])
class KeyHistory(mixins.ListModelMixin, viewsets.GenericViewSet[SealedKey]):
    """The company's keys of all times, by their last four characters."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "credentials:manage"}
    queryset = SealedKey.rows.none()
    serializer_class = shapes.KeyHistory
    filterset_class = HistoryFilters
    ordering_fields = HISTORY_ORDERING

    def get_queryset(self) -> QuerySet[SealedKey]:
        return selectors.keys_of(caller_of(self.request).company_id)


def _named(caller: Caller) -> dict[str, Any]:
    """What the audit trail is told of credentials: settings, and the last four characters of keys."""
    return {
        "kind": AICredentials._meta.label_lower,
        "object_id": caller.company_id,
        "read": lambda: selectors.facts_of(caller.company_id),
    }


def _told(caller: Caller) -> dict[str, Any]:
    row = selectors.credentials_of(caller.company_id)
    live = selectors.live_keys(caller.company_id)
    return shapes.told_credentials(caller.company_id, caller.company_name, row, live)
