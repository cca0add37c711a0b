"""Shapes of ``/auth/members/``, ``/auth/invitations/`` and ``/auth/brands/``."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from megahub.kernel.shapes import Strict
from megahub.tenancy.api.serializers import Otp, Username
from megahub.tenancy.models import Brand, Invitation, Membership
from megahub.tenancy.roles import Role

MAX_DAYS = 30
MOST_BRANDS = 1000


def _number(**fields: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1, **fields)


def _brands(**fields: Any) -> serializers.ListField:
    return serializers.ListField(child=_number(), max_length=MOST_BRANDS, **fields)


class MemberShape(serializers.ModelSerializer[Membership]):
    """A member. ``brands`` are those that they may enter; none named: all of them."""

    user_id = serializers.IntegerField()
    username = serializers.CharField(source="user.username")
    email = serializers.CharField(source="user.email")
    can_sign_in = serializers.BooleanField(source="user.is_active")

    class Meta:
        model = Membership
        fields = (
            *("id", "user_id", "username", "email", "can_sign_in", "role", "brands", "default_brand"),
            *("is_active", "created_at"),
        )


class ChangedMember(Strict):
    """What is absent stays; ``brands: []`` opens all of them."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    brands = _brands(required=False)
    default_brand = _number(required=False, allow_null=True)
    is_active = serializers.BooleanField(required=False)


class InvitationShape(serializers.ModelSerializer[Invitation]):
    created_by = serializers.CharField(source="created_by.username")
    accepted_by = serializers.CharField(source="accepted_by.username", allow_null=True, default=None)
    email_status = serializers.CharField(
        allow_null=True,
        help_text="What became of its mail: `pending`, `sent`, or `failed` (refused by the mail server, or"
        " withdrawn); null: none was to be sent.",
    )

    class Meta:
        model = Invitation
        fields: tuple[str, ...] = (
            *("id", "email", "role", "brands", "created_by", "created_at", "expires_at"),
            *("revoked_at", "accepted_at", "accepted_by", "email_status"),
        )


class MadeInvitation(InvitationShape):
    """The only answer that holds the token: hand it to whom it is for."""

    token = serializers.CharField(read_only=True)

    class Meta(InvitationShape.Meta):
        fields = ("token", *InvitationShape.Meta.fields)


class NewInvitation(Strict):
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)
    email = serializers.EmailField(allow_blank=True, default="")
    send_email = serializers.BooleanField(
        required=False,
        help_text="Whether the link is mailed to `email`; without this, when there is one."
        " `false`: you hand the token over yourself.",
    )
    brands = _brands(default=list)
    expires_in_days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, default=7)


class Acceptance(Strict):
    """An invitation's token, and an account: one that is there, or a ``new_account`` to be made."""

    token = serializers.CharField(max_length=100)
    username = Username()
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    otp = Otp()
    new_account = serializers.BooleanField(default=False)


class OwnBrand(serializers.ModelSerializer[Brand]):
    class Meta:
        model = Brand
        fields = ("id", "name", "is_active", "created_at")


class NewBrand(Strict):
    name = serializers.CharField(max_length=120)


class ChangedBrand(Strict):
    """What is absent stays."""

    name = serializers.CharField(max_length=120, required=False)
    is_active = serializers.BooleanField(required=False)
