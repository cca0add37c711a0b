"""Filters of ``GET /ai/alerts/``."""

from __future__ import annotations

from typing import Any

import django_filters as filters

from ai_usage.models import AIUsageAlert
from megahub.kernel.filters import Flag, Moment


class AlertFilters(filters.FilterSet):
    alert_type = filters.ChoiceFilter(choices=AIUsageAlert.AlertType.choices)
    severity = filters.ChoiceFilter(choices=AIUsageAlert.Severity.choices)
    provider_name = filters.CharFilter()
    is_resolved = Flag()
    sandbox = Flag()
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")

    class Meta:
        model = AIUsageAlert
        fields: tuple[str, ...] = ()


ORDERING: dict[str, Any] = {
    name: name for name in ("id", "created_at", "severity", "alert_type", "resolved_at")
}
