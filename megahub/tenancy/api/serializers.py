"""Shapes of ``/auth/…``."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from megahub.kernel.shapes import Strict
from megahub.tenancy.models import ApiKey, User
from megahub.tenancy.roles import Scope

MAX_KEY_DAYS = 3650


class Username(serializers.CharField):
    """A name as it is stored: letters that look alike and mean the same are one (NFKC), as in the admin."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(max_length=150, **fields)

    def to_internal_value(self, data: Any) -> str:
        return str(User.normalize_username(super().to_internal_value(data)))


class Otp(serializers.CharField):
    """Who has set a second factor up sends a code of their app, or a recovery code."""

    def __init__(self) -> None:
        told = "For who has a second factor: a code of the app, or a recovery code."
        super().__init__(max_length=40, default="", allow_blank=True, help_text=told)


@extend_schema_serializer(
    examples=[OpenApiExample("Sign in", {"username": "alice", "password": "…"}, request_only=True)]  # nosec B105
)
class Credentials(Strict):
    username = Username()
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    otp = Otp()


class Refresh(Strict):
    refresh = serializers.CharField(max_length=4096)


class Verify(Strict):
    token = serializers.CharField(max_length=4096)


class Told(serializers.Serializer[Any]):
    message = serializers.CharField()


class Pair(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class BrandShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    is_default = serializers.BooleanField()


class CompanyShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    role = serializers.CharField()
    brands = BrandShape(many=True)


class Reference(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class Me(serializers.Serializer[Any]):
    """Who the token belongs to, and where it may go."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    language = serializers.ChoiceField(
        choices=settings.LANGUAGES, allow_null=True, help_text="Of mails; null: the company's."
    )
    role = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    company = Reference()
    brand = Reference(allow_null=True)
    companies = CompanyShape(many=True)


class ChangedMe(Strict):
    """What is absent stays."""

    language = serializers.ChoiceField(
        choices=settings.LANGUAGES,
        allow_null=True,
        required=False,
        help_text="In which mails are written to you; null: the company's.",
    )


@extend_schema_serializer(examples=[OpenApiExample("A key", {"name": "my script"}, request_only=True)])
class NewKey(Strict):
    name = serializers.CharField(max_length=80)
    scopes = serializers.MultipleChoiceField(
        choices=Scope.choices,
        default=lambda: {Scope.INFERENCE.value, Scope.JOBS_READ.value, Scope.JOBS_WRITE.value},
    )
    expires_in_days = serializers.IntegerField(
        min_value=1, max_value=MAX_KEY_DAYS, required=False, allow_null=True
    )
    only_this_brand = serializers.BooleanField(default=False)


class KeyShape(serializers.ModelSerializer[ApiKey]):
    """A key as it can be shown again: never the key itself."""

    prefix = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "id",
            "name",
            "prefix",
            "scopes",
            "brand",
            "created_by",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        )

    def get_prefix(self, key: ApiKey) -> str:
        return f"mh_{key.public_id}_"


class MadeKey(KeyShape):
    """The only answer that holds the key."""

    key = serializers.CharField(read_only=True)

    class Meta(KeyShape.Meta):
        fields = ("key", *KeyShape.Meta.fields)
