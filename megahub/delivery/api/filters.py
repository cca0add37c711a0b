"""Filters of ``/ai/webhooks/`` and of an endpoint's deliveries."""

from __future__ import annotations

from typing import Any

import django_filters as filters

from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.kernel.filters import Flag, Moment


class EndpointFilters(filters.FilterSet):
    is_active = Flag()
    kind = filters.ChoiceFilter(choices=WebhookEndpoint.Kind.choices)

    class Meta:
        model = WebhookEndpoint
        fields: tuple[str, ...] = ()


class DeliveryFilters(filters.FilterSet):
    state = filters.ChoiceFilter(choices=WebhookDelivery.State.choices)
    event_type = filters.CharFilter()
    event_id = filters.CharFilter()
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")

    class Meta:
        model = WebhookDelivery
        fields: tuple[str, ...] = ()


ENDPOINT_ORDERING: dict[str, Any] = {name: name for name in ("id", "created_at", "url")}
DELIVERY_ORDERING: dict[str, Any] = {name: name for name in ("id", "created_at", "next_at", "attempt")}
