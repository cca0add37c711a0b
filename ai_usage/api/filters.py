"""Filters and orderings of ``GET /ai/usage/``. Names are those of reference/megahub-endpoints.md."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import django_filters as filters
from django.core.validators import EMPTY_VALUES
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast, NullIf
from rest_framework.request import Request

from ai_usage.api.params import GENERATIONS
from ai_usage.models import AIJobUsage
from megahub.kernel.filters import Chosen, Flag, Listed, Moment, Number, Seconds, StrictOrderingFilter, Usd

Rows = QuerySet[Any]
STATUSES = ("pending", "running", "completed", "failed", "cancelled", "timeout")


def _choices(*values: str) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class UsageFilters(filters.FilterSet):
    """Costs in USD, times in seconds. The view itself follows ``sandbox`` and ``ai_job__brand``."""

    provider_name = filters.CharFilter()
    provider = filters.CharFilter(field_name="provider_name")
    model_name = filters.CharFilter()
    model = filters.CharFilter(field_name="model_name")
    model__in = Listed(field_name="model_name", lookup_expr="in")
    model__startswith = filters.CharFilter(field_name="model_name", lookup_expr="startswith")
    generation = filters.ChoiceFilter(choices=_choices(*GENERATIONS))
    generation__in = Chosen(field_name="generation", lookup_expr="in", choices=_choices(*GENERATIONS))
    reasoning_effort = filters.CharFilter()
    total_cost__gte = Usd(field_name="total_cost_nano_usd", lookup_expr="gte")
    total_cost__lte = Usd(field_name="total_cost_nano_usd", lookup_expr="lte")
    execution_time_seconds__gte = Seconds(field_name="execution_time_ms", lookup_expr="gte")
    execution_time_seconds__lte = Seconds(field_name="execution_time_ms", lookup_expr="lte")
    success_rate__lt = Number(method="below")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")
    ai_job__status = filters.ChoiceFilter(field_name="ai_job__status", choices=_choices(*STATUSES))
    ai_job__brand = Number(method="followed")
    cost_efficiency__gte = Number(method="efficient", min_value=0, max_value=1)
    quality_score__gte = Number(method="rated", min_value=0, max_value=10)
    sandbox = Flag(method="followed")
    cursor = filters.CharFilter(method="followed")

    class Meta:
        model = AIJobUsage
        fields: tuple[str, ...] = ()

    def filter_queryset(self, queryset: Rows) -> Rows:
        """The view is told what was asked, to count by rollups where they can."""
        given = {name: value for name, value in self.form.cleaned_data.items() if value not in EMPTY_VALUES}
        self.request.parser_context["view"].filtered_by = given
        found: Rows = super().filter_queryset(queryset)
        return found

    def followed(self, rows: Rows, name: str, value: Any) -> Rows:
        """The view has chosen its rows by it."""
        return rows

    def below(self, rows: Rows, name: str, value: Decimal) -> Rows:
        """A job's own rate is 0 or 1."""
        if value > 1:
            return rows
        return rows.filter(is_success=False) if value > 0 else rows.none()

    def efficient(self, rows: Rows, name: str, value: Decimal) -> Rows:
        """``average / (average + own) >= value`` is ``own <= average * (1 - value) / value``."""
        average = self.request.parser_context["view"].average_nano_per_token
        if average is None:
            return rows.none()
        rows = rows.filter(nano_per_token__isnull=False)
        if value == 0:
            return rows
        return rows.filter(nano_per_token__lte=average * float((1 - value) / value))

    def rated(self, rows: Rows, name: str, value: Decimal) -> Rows:
        return rows.filter(rated_tenths__gte=float(value * 10))


#: Filters that the rollups know too, and by which condition of theirs.
COUNTED = {
    "provider_name": "provider",
    "provider": "provider",
    "model_name": "model",
    "model": "model",
    "model__in": "model__in",
    "model__startswith": "model__startswith",
    "generation": "generation",
    "generation__in": "generation__in",
    "reasoning_effort": "reasoning_effort",
    # The scope has been chosen by these.
    "sandbox": None,
    "ai_job__brand": None,
}
#: A token's cost, None while it is unknown.
NANO_PER_TOKEN = Cast("total_cost_nano_usd", FloatField()) / NullIf(Cast("total_tokens", FloatField()), 0.0)
ORDERING: dict[str, str] = {
    **{name: name for name in ("id", "created_at", "provider_name", "model_name", "generation")},
    **{name: name for name in ("reasoning_effort", "total_tokens", "input_tokens", "output_tokens")},
    "model": "model_name",
    "total_cost": "total_cost_nano_usd",
    "execution_time_seconds": "execution_time_ms",
    "execution_time": "execution_time_ms",
    "success_rate": "is_success",
    "quality_score": "rated_tenths",
    # The less a token costs, the more efficient it is.
    "cost_efficiency": "-nano_per_token",
}
MAY_BE_NULL = {"reasoning_effort", "total_cost_nano_usd", "execution_time_ms", "rated_tenths"}
MAY_BE_NULL |= {"nano_per_token"}


class UsageOrdering(StrictOrderingFilter):
    """What is not known comes last, whichever way; equals come in the order of their numbers."""

    def get_ordering(self, request: Request, queryset: Rows, view: Any) -> Any:
        asked = super().get_ordering(request, queryset, view)
        return None if not asked else [*(_order(each) for each in asked), "-pk"]


def _order(asked: str) -> Any:
    name = asked.lstrip("-")
    down = (len(asked) - len(name)) % 2 == 1
    if name not in MAY_BE_NULL:
        return f"-{name}" if down else name
    return F(name).desc(nulls_last=True) if down else F(name).asc(nulls_last=True)
