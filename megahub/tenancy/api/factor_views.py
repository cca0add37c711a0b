"""``/auth/totp/…``: one's own second factor."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from megahub.kernel import trail
from megahub.kernel.errors import Conflict, Forbidden, RateLimited
from megahub.kernel.refusals import named
from megahub.kernel.shapes import Strict, read, refuse_unknown
from megahub.tenancy import own_factor
from megahub.tenancy.api.serializers import Pair
from megahub.tenancy.authentication import caller_of
from megahub.tenancy.models import User

ABOUT: dict[str, Any] = {"tags": ["auth"], "extensions": named(Conflict, Forbidden, RateLimited)}


def _password() -> serializers.CharField:
    return serializers.CharField(
        max_length=1024, trim_whitespace=False, help_text="Your own, asked for once more."
    )


class FactorState(serializers.Serializer[Any]):
    """``policy`` is the hub's (`HUB_TOTP`); ``is_required``: whether it lets you do without one."""

    policy = serializers.ChoiceField(choices=("off", "optional", "required"))
    is_required = serializers.BooleanField()
    is_on = serializers.BooleanField()
    created_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    recovery_codes_left = serializers.IntegerField(allow_null=True)


class FactorPassword(Strict):
    password = _password()


class FactorBegun(serializers.Serializer[Any]):
    """Show ``url`` as a QR code, or ``secret`` to type; nothing is asked for until it is confirmed."""

    setup = serializers.CharField(help_text="Goes back with a code of the app, within ten minutes.")
    secret = serializers.CharField()
    url = serializers.CharField()


class FactorCode(Strict):
    setup = serializers.CharField(max_length=1000)
    code = serializers.CharField(max_length=40, help_text="What the app shows now.")


class RecoveryCodeList(serializers.Serializer[Any]):
    """Each is good once in the place of the app; they are shown here only."""

    recovery_codes = serializers.ListField(child=serializers.CharField())


class FactorConfirmed(RecoveryCodeList, Pair):
    """A fresh sign-in: those of before have ended."""


class FactorProof(Strict):
    password = _password()
    otp = serializers.CharField(max_length=40, help_text="A code of the app, or a recovery code.")


class Own(APIView):
    """For people, each of their own."""

    def person(self, request: Request) -> User:
        """Raises Forbidden for API keys."""
        refuse_unknown(request.query_params, (), in_query=True)
        caller = caller_of(request)
        if caller.api_key_id is not None:
            raise Forbidden("A second factor is managed by its person, not with API keys.")
        return User.objects.get(pk=caller.user_id)


class FactorView(Own):
    @extend_schema(operation_id="auth_totp_retrieve", responses=FactorState, tags=["auth"])
    def get(self, request: Request) -> Response:
        """Whether you have a second factor, and whether the hub asks for one."""
        return Response(FactorState(own_factor.state(self.person(request))).data)

    @extend_schema(
        operation_id="auth_totp_begin", request=FactorPassword, responses={200: FactorBegun}, **ABOUT
    )
    def post(self, request: Request) -> Response:
        """Begin to set one up: a secret for an app. Confirm it with a code at `/auth/totp/confirm/`."""
        user = self.person(request)
        begun = own_factor.begin(user, read(FactorPassword, request.data)["password"])
        return Response(FactorBegun(begun).data)


class ConfirmFactorView(Own):
    @extend_schema(
        operation_id="auth_totp_confirm", request=FactorCode, responses={201: FactorConfirmed}, **ABOUT
    )
    def post(self, request: Request) -> Response:
        """From now on codes are asked for. Every sign-in of before ends; this answer holds a fresh one."""
        user, asked = self.person(request), read(FactorCode, request.data)
        access, refresh, codes = own_factor.confirm(user, **asked, origin=trail.origin_of(request))
        told = {"access": access, "refresh": refresh, "recovery_codes": codes}
        return Response(told, status=status.HTTP_201_CREATED)


class RecoveryCodesView(Own):
    @extend_schema(
        operation_id="auth_totp_recovery_codes",
        request=FactorProof,
        responses={200: RecoveryCodeList},
        **ABOUT,
    )
    def post(self, request: Request) -> Response:
        """New recovery codes; those of before are good for nothing any more."""
        user, asked = self.person(request), read(FactorProof, request.data)
        codes = own_factor.renew_codes(user, **asked, origin=trail.origin_of(request))
        return Response({"recovery_codes": codes})


class RemoveFactorView(Own):
    @extend_schema(
        operation_id="auth_totp_remove", request=FactorProof, responses={200: FactorState}, **ABOUT
    )
    def post(self, request: Request) -> Response:
        """Put it down: a password is enough again. Staff may not where the hub requires one."""
        user, asked = self.person(request), read(FactorProof, request.data)
        own_factor.remove(user, **asked, origin=trail.origin_of(request))
        return Response(FactorState(own_factor.state(user)).data)
