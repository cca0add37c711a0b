"""Shapes of ``/ai/webhooks/``."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from megahub.delivery.domain.events import EVENTS
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.kernel.shapes import Strict


class EndpointShape(serializers.ModelSerializer[WebhookEndpoint]):
    """An endpoint as it can be shown again: never its secret."""

    disabled_reason = serializers.ChoiceField(
        choices=WebhookEndpoint.Disabled.choices, allow_blank=True, read_only=True
    )
    has_previous_secret_until = serializers.DateTimeField(source="previous_until", allow_null=True)

    class Meta:
        model = WebhookEndpoint
        fields: tuple[str, ...] = (
            "id",
            "url",
            "kind",
            "events",
            "description",
            "is_active",
            "failures",
            "failing_since",
            "disabled_at",
            "disabled_reason",
            "last_success_at",
            "has_previous_secret_until",
            "created_at",
        )


class MadeEndpoint(EndpointShape):
    """The only answers (with a rotation's) that hold the secret."""

    secret = serializers.CharField(read_only=True)

    class Meta(EndpointShape.Meta):
        fields = ("secret", *EndpointShape.Meta.fields)


class NewEndpoint(Strict):
    url = serializers.CharField(max_length=2000)
    kind = serializers.ChoiceField(choices=WebhookEndpoint.Kind.choices, default="standard")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=[(name, name) for name in EVENTS]), min_length=1
    )
    description = serializers.CharField(max_length=200, allow_blank=True, default="")
    is_active = serializers.BooleanField(default=True)

    def validate_events(self, names: list[str]) -> list[str]:
        return sorted(set(names))


class ChangedEndpoint(NewEndpoint):
    """What is absent stays."""

    url = serializers.CharField(max_length=2000, required=False)
    kind = serializers.ChoiceField(choices=WebhookEndpoint.Kind.choices, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=[(name, name) for name in EVENTS]),
        min_length=1,
        required=False,
    )
    description = serializers.CharField(max_length=200, allow_blank=True, required=False)
    is_active = serializers.BooleanField(required=False)


class SendingShape(serializers.Serializer[Any]):
    """An attempt that ended; ``status`` is null without an answer."""

    attempt = serializers.IntegerField()
    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True)
    ms = serializers.IntegerField()
    error = serializers.CharField()


class DeliveryShape(serializers.ModelSerializer[WebhookDelivery]):
    """A message to an endpoint: the last attempt's figures, and every attempt in ``history``."""

    history = SendingShape(many=True)

    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "event_id",
            "event_type",
            "state",
            "attempt",
            "status",
            "ms",
            "error",
            "next_at",
            "created_at",
            "delivered_at",
            "body",
            "history",
        )


class Tried(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    delivery = DeliveryShape()


class Redelivered(serializers.Serializer[Any]):
    message = serializers.CharField()
    delivery = DeliveryShape()
