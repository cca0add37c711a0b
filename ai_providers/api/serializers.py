"""Shapes of ``/ai/providers/`` and ``/ai/credentials/``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from ai_providers import selectors
from ai_providers.models import AICredentials, AIProvider, SealedKey
from ai_providers.services.connections import Probe
from ai_providers.services.keys import KEY_FORMS
from megahub.kernel import money
from megahub.kernel.shapes import Strict
from megahub.tenancy.api.serializers import Reference

PROVIDERS = tuple(KEY_FORMS)
LONGEST_KEY = 400


class ProviderShape(serializers.ModelSerializer[AIProvider]):
    """A provider, with the models of it that can be called today."""

    base_url = serializers.SerializerMethodField()
    available_models = serializers.SerializerMethodField()

    class Meta:
        model = AIProvider
        fields = (
            "id",
            "name",
            "display_name",
            "base_url",
            "supports_chat",
            "supports_assistants",
            "supports_files",
            "supports_vision",
            "default_model",
            "available_models",
            "rate_limit_rpm",
            "is_active",
        )

    def get_base_url(self, row: AIProvider) -> str:
        return selectors.base_url_of(row.name, row)

    def get_available_models(self, row: AIProvider) -> list[str]:
        models = self.context.get("models") or selectors.callable_models()
        return [spec.id for spec in models if spec.provider == row.name]


class HealthShape(serializers.Serializer[Any]):
    """One provider's health: ``response_time_ms`` when it answered, ``error`` when it did not."""

    status = serializers.CharField(help_text="healthy, error or not_configured")
    response_time_ms = serializers.IntegerField(required=False)
    error = serializers.CharField(required=False)
    error_code = serializers.CharField(required=False)
    source = serializers.ChoiceField(choices=["own", "global", "sandbox"], required=False)  # type: ignore[assignment]


@extend_schema_serializer(many=False)
class HealthByName(serializers.Serializer[Any]):
    """Every provider's health by its name."""

    openai = HealthShape()
    infomaniak = HealthShape()
    anthropic = HealthShape()
    google = HealthShape()


def health_of(probe: Probe) -> dict[str, Any]:
    """A probe as ``HealthShape`` has it, in the reader's language."""
    told: dict[str, Any] = {"status": probe.status}
    if probe.source is not None:
        told["source"] = probe.source
    if probe.error is None:
        return {**told, "response_time_ms": probe.milliseconds}
    text = probe.error.text(gettext(probe.error.message))
    return {**told, "error": text, "error_code": probe.error.code}


class WhoDidIt(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    username = serializers.CharField()


@extend_schema_serializer(many=False)
class CredentialsShape(serializers.Serializer[Any]):
    """A company's one row; ``id`` and the dates are null as long as nothing is stored."""

    id = serializers.IntegerField(allow_null=True)
    company = Reference()
    has_openai_key = serializers.BooleanField()
    has_anthropic_key = serializers.BooleanField()
    has_google_key = serializers.BooleanField()
    has_infomaniak_key = serializers.BooleanField()
    last_four = serializers.DictField(
        child=serializers.CharField(), help_text="By provider, the end of the key that is in use."
    )
    refused = serializers.ListField(
        child=serializers.CharField(), help_text="Providers that refused the stored key."
    )
    use_global_fallback = serializers.BooleanField()
    openai_organization = serializers.CharField()
    infomaniak_product_id = serializers.CharField()
    created_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)


class StoredCredentials(CredentialsShape):
    """The answer to a change."""

    message = serializers.CharField()
    providers_configured = serializers.ListField(child=serializers.CharField())


def told_credentials(
    company_id: int, company_name: str, row: AICredentials | None, live: dict[str, SealedKey]
) -> dict[str, Any]:
    """What ``CredentialsShape`` shows of a company: never a key."""
    shown = row or AICredentials()
    told = {
        "id": shown.pk,
        "company": {"id": company_id, "name": company_name},
        **{f"has_{provider}_key": provider in live for provider in PROVIDERS},
        "last_four": {provider: key.last_four for provider, key in live.items()},
        "refused": [provider for provider, key in live.items() if key.refused_at is not None],
        "use_global_fallback": shown.use_global_fallback,
        "openai_organization": shown.openai_organization,
        "infomaniak_product_id": shown.infomaniak_product_id,
        "created_at": shown.created_at if row else None,
        "updated_at": shown.updated_at,
    }
    return dict(CredentialsShape(told).data)


def _key() -> serializers.CharField:
    return serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=LONGEST_KEY,
        write_only=True,
        help_text="Empty or absent: unchanged; null: the stored key is removed.",
    )


class ChangedCredentials(Strict):
    """What can be stored; what is absent stays as it is."""

    openai_api_key = _key()
    anthropic_api_key = _key()
    google_api_key = _key()
    infomaniak_api_key = _key()
    use_global_fallback = serializers.BooleanField(required=False)
    openai_organization = serializers.RegexField(
        r"^[A-Za-z0-9_-]+$", required=False, allow_blank=True, max_length=120
    )
    infomaniak_product_id = serializers.RegexField(
        r"^[A-Za-z0-9_-]+$", required=False, allow_blank=True, max_length=40
    )

    @staticmethod
    def keys(given: dict[str, Any]) -> dict[str, str | None]:
        """Of validated data, the keys by provider."""
        fields = {provider: f"{provider}_api_key" for provider in PROVIDERS}
        return {provider: given[field] for provider, field in fields.items() if field in given}

    @staticmethod
    def settings(given: dict[str, Any]) -> dict[str, str | bool]:
        """Of validated data, all but the keys."""
        return {name: value for name, value in given.items() if not name.endswith("_api_key")}


class KeyHistory(serializers.ModelSerializer[SealedKey]):
    """A key of any time: who stored it and when, who replaced it and when."""

    created_by = WhoDidIt(allow_null=True)
    retired_by = WhoDidIt(allow_null=True)
    is_live = serializers.SerializerMethodField()

    class Meta:
        model = SealedKey
        fields = (
            "id",
            "provider",
            "last_four",
            "is_live",
            "created_at",
            "created_by",
            "retired_at",
            "retired_by",
            "refused_at",
            "validated_at",
        )

    def get_is_live(self, key: SealedKey) -> bool:
        return key.retired_at is None


class AskedConnection(Strict):
    """The body of ``POST …/test_connection/``."""

    provider = serializers.CharField(max_length=40)


class ConnectionShape(serializers.Serializer[Any]):
    """How a try went: ``message`` and what follows it on success, ``error`` and its code otherwise."""

    success = serializers.BooleanField()
    provider = serializers.CharField()
    message = serializers.CharField(required=False)
    model_tested = serializers.CharField(required=False)
    response_time_ms = serializers.IntegerField(required=False)
    tokens_used = serializers.IntegerField(required=False)
    cost_usd = serializers.CharField(required=False)
    source = serializers.ChoiceField(choices=["own", "global", "sandbox"], required=False)  # type: ignore[assignment]
    error = serializers.CharField(required=False)
    error_code = serializers.CharField(required=False)
    last_validated = serializers.DateTimeField(required=False, allow_null=True)


def connection_of(probe: Probe) -> dict[str, Any]:
    """A probe as ``ConnectionShape`` has it, in the reader's language."""
    told: dict[str, Any] = {"success": probe.error is None, "provider": probe.provider}
    if probe.source is not None:
        told["source"] = probe.source
    if probe.error is None:
        return {
            **told,
            "message": gettext("The connection works."),
            "model_tested": probe.model,
            "response_time_ms": probe.milliseconds,
            "tokens_used": probe.tokens,
            "cost_usd": money.show(probe.cost_usd_nano),
        }
    error = probe.error
    facts = {name: fact for name, fact in error.facts.items() if name == "last_validated"}
    return {**told, "error": error.text(gettext(error.message)), "error_code": error.code, **facts}
