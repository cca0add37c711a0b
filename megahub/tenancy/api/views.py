"""``/auth/…``: tokens, who am I, API keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from megahub.kernel import trail
from megahub.kernel.errors import Forbidden, InvalidOtp, OtpRequired
from megahub.kernel.refusals import named
from megahub.kernel.shapes import refuse_unknown
from megahub.tenancy import selectors, services, throttles, tokens
from megahub.tenancy.api import serializers as shapes
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.models import ApiKey, Brand, Membership, User
from megahub.tenancy.replaying import Idempotent
from megahub.tenancy.second_factors import SecondFactorMissing


class Open(APIView):
    """A view that needs no token."""

    authentication_classes = ()
    permission_classes = ()


NOTHING = {"type": "object", "additionalProperties": False}


def _checked(shape: type, request: Request) -> dict[str, Any]:
    serializer = shape(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class TokenView(Open):
    @extend_schema(
        request=shapes.Credentials,
        responses=shapes.Pair,
        tags=["auth"],
        extensions=named(OtpRequired, InvalidOtp, SecondFactorMissing),
    )
    def post(self, request: Request) -> Response:
        """Sign in: an access token and a refresh token. So many tries per name and address: then 429.

        Who has a second factor (`HUB_TOTP`) sends a code as `otp`, too; each is good once. Where the hub
        requires one of staff, a password alone is answered with where to set one up.
        """
        asked, address = _checked(shapes.Credentials, request), request.META.get("REMOTE_ADDR", "")
        throttles.sign_in(asked["username"], address)
        access, refresh = services.sign_in(**asked)
        throttles.signed_in(asked["username"], address)
        return Response({"access": access, "refresh": refresh})


class RefreshView(Open):
    @extend_schema(
        request=shapes.Refresh, responses=shapes.Pair, tags=["auth"], extensions=named(SecondFactorMissing)
    )
    def post(self, request: Request) -> Response:
        """Trade a refresh token for a new pair; each refresh token is good once."""
        throttles.refresh(request.META.get("REMOTE_ADDR", ""))
        access, refresh = services.refresh(_checked(shapes.Refresh, request)["refresh"])
        return Response({"access": access, "refresh": refresh})


class VerifyView(Open):
    @extend_schema(
        request=shapes.Verify,
        responses={200: OpenApiResponse(NOTHING, description="The access token is good.")},
        tags=["auth"],
        extensions=named(SecondFactorMissing),
    )
    def post(self, request: Request) -> Response:
        """Whether an access token is good now: 200 with ``{}``, else 401."""
        token = _checked(shapes.Verify, request)["token"]
        tokens.read_access(token)
        selectors.caller_for(token, None)
        return Response({})


class RevokeView(Open):
    @extend_schema(
        request=shapes.Refresh,
        responses={200: OpenApiResponse(shapes.Told, description="The sign-in has ended.")},
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """End the sign-in of a refresh token, and every access token that came of it."""
        services.revoke(_checked(shapes.Refresh, request)["refresh"])
        return Response({"message": "Token revoked"})


class MeView(APIView):
    @extend_schema(responses=shapes.Me, tags=["auth"])
    def get(self, request: Request) -> Response:
        """The caller: role, scopes, current company and brand, and all that they may enter."""
        return self.told(request)

    @extend_schema(request=shapes.ChangedMe, responses=shapes.Me, tags=["auth"])
    def patch(self, request: Request) -> Response:
        """Choose the language that mails are written to you in. For people, not for API keys."""
        caller, asked = caller_of(request), _checked(shapes.ChangedMe, request)
        if caller.api_key_id is not None:
            raise Forbidden("What mails are written in is chosen by its person, not with API keys.")
        user = User.objects.get(pk=caller.user_id)
        if "language" in asked:
            with trail.change(request, "user.change", user):
                user.language = asked["language"] or ""
                user.save(update_fields=["language"])
        return self.told(request)

    @staticmethod
    def told(request: Request) -> Response:
        caller = caller_of(request)
        user = User.objects.get(pk=caller.user_id)
        brand = {"id": caller.brand_id, "name": caller.brand_name} if caller.brand_id else None
        return Response(
            {
                "id": user.pk,
                "username": user.username,
                "email": user.email,
                "language": user.language or None,
                "role": caller.role,
                "scopes": sorted(caller.scopes),
                "company": {"id": caller.company_id, "name": caller.company_name},
                "brand": brand,
                "companies": _companies(selectors.memberships_of(caller)),
            }
        )


def _companies(memberships: list[Membership]) -> list[dict[str, Any]]:
    brands = selectors.entered_by(memberships)
    return [_company(each, brands[each.pk]) for each in memberships]


def _company(membership: Membership, brands: list[Brand]) -> dict[str, Any]:
    return {
        "id": membership.company_id,
        "name": membership.company.name,
        "role": membership.role,
        "brands": [
            {"id": b.pk, "name": b.name, "is_default": b.pk == membership.default_brand_id} for b in brands
        ],
    }


class KeysView(Idempotent, APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "keys:manage", "POST": "keys:manage"}

    @extend_schema(responses=shapes.KeyShape(many=True), tags=["auth"])
    def get(self, request: Request) -> Response:
        """The company's API keys; those who do not manage credentials see their own."""
        refuse_unknown(request.query_params, (), in_query=True)
        rows = ApiKey.objects.of(caller_of(request).company_id).select_related("created_by")
        if "credentials:manage" not in caller_of(request).scopes:
            rows = rows.filter(created_by=caller_of(request).user_id)
        return Response(shapes.KeyShape(rows, many=True).data)

    @extend_schema(request=shapes.NewKey, responses={201: shapes.MadeKey}, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Make an API key. This answer is the only one that ever holds it."""
        asked = _checked(shapes.NewKey, request)
        brand_id = caller_of(request).require_brand() if asked["only_this_brand"] else None
        with trail.change(request, "key.create") as change:
            row, key = services.make_api_key(
                caller_of(request),
                asked["name"],
                sorted(asked["scopes"]),
                brand_id,
                asked.get("expires_in_days"),
            )
            change.about(row)
        row.key = key  # type: ignore[attr-defined]
        return Response(shapes.MadeKey(row).data, status=status.HTTP_201_CREATED)


class KeyView(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"DELETE": "keys:manage"}

    @extend_schema(responses={200: shapes.KeyShape}, tags=["auth"])
    def delete(self, request: Request, key_id: int) -> Response:
        """Revoke an API key; it stays listed with the moment of its end."""
        row = services.api_key_of(caller_of(request), key_id)
        with trail.change(request, "key.revoke", row):
            row = services.revoke_api_key(caller_of(request), key_id)
        return Response(shapes.KeyShape(row).data)
