"""Shapes of ``/ai/rate-limits/``."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ai_usage.domain import rates
from ai_usage.models import RateLimit
from megahub.kernel.shapes import Strict
from megahub.kernel.text import Text

UNITS = ("requests_per_minute", "tokens_per_minute")


class RateLimitShape(serializers.ModelSerializer[RateLimit]):
    """A rate limit. ``scope_value`` is an API key's number or a model's name, "" for the whole company."""

    class Meta:
        model = RateLimit
        fields = (
            *("id", "scope", "scope_value", *UNITS),
            *("is_active", "created_at", "changed_at"),
        )


def _most() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=rates.MOST)


class ChangedRateLimit(Strict):
    """What is absent stays; null lifts the limit of that unit. A limit goes on counting what it counts."""

    requests_per_minute = _most()
    tokens_per_minute = _most()
    is_active = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = self.context.get("row")
        if all(attrs.get(name, getattr(row, name, None)) is None for name in UNITS):
            raise serializers.ValidationError(
                {UNITS[0]: [Text("Say how many requests or tokens a minute.")]}
            )
        return attrs


class NewRateLimit(ChangedRateLimit):
    """At least one of ``requests_per_minute`` and ``tokens_per_minute``."""

    scope = serializers.ChoiceField(choices=RateLimit.Scope.choices, default="company")
    scope_value = serializers.CharField(max_length=120, allow_blank=True, default="")
    is_active = serializers.BooleanField(default=True)
