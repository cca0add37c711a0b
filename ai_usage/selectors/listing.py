"""Which rows of usage are asked for: the filters of ``GET /ai/usage/``, of exports and their schedules.

Names are those of reference/megahub-endpoints.md.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import django_filters as filters
from django.core.validators import EMPTY_VALUES
from django.db.models import FloatField, QuerySet
from django.db.models.functions import Cast, NullIf

from ai_providers import selectors as providers
from ai_usage.domain import analytics
from ai_usage.models import AIJobUsage
from ai_usage.selectors import Scope, rated, tallies, usage_of
from megahub.kernel.filters import Chosen, Flag, Listed, Moment, Number, Seconds, Usd

GENERATIONS = ("new", "legacy")
TIERS = ("basic", "good", "high", "highest")
Rows = QuerySet[Any]
AVERAGE_DAYS = 30
#: A token's cost, None while it is unknown.
NANO_PER_TOKEN = Cast("total_cost_nano_usd", FloatField()) / NullIf(Cast("total_tokens", FloatField()), 0.0)
STATUSES = ("pending", "running", "completed", "failed", "cancelled", "timeout")


def _choices(*values: str) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class UsageFilters(filters.FilterSet):
    """Costs in USD, times in seconds. The scope has followed ``sandbox`` and ``ai_job__brand``."""

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
    performance_tier = filters.ChoiceFilter(choices=_choices(*TIERS), method="of_tier")
    success_rate__lt = Number(method="below")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")
    ai_job__status = filters.ChoiceFilter(field_name="ai_job__status", choices=_choices(*STATUSES))
    ai_job__brand = Number(method="followed")
    cost_efficiency__gte = Number(method="efficient", min_value=0, max_value=1)
    quality_score__gte = Number(method="rated", min_value=0, max_value=10)
    sandbox = Flag(method="followed")

    class Meta:
        model = AIJobUsage
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, scope: Scope | None = None, **kwargs: Any) -> None:
        self.scope = scope
        super().__init__(*args, **kwargs)

    @property
    def given(self) -> dict[str, Any]:
        """The filters that were named, with their values as they were read."""
        cleaned = self.form.cleaned_data
        return {name: value for name, value in cleaned.items() if value not in EMPTY_VALUES}

    def followed(self, rows: Rows, name: str, value: Any) -> Rows:
        """The rows were chosen by it."""
        return rows

    def of_tier(self, rows: Rows, name: str, tier: str) -> Rows:
        """Usage of the models whose quality the catalogue says is this."""
        return rows.filter(model_name__in=providers.models_of_tier(tier))

    def below(self, rows: Rows, name: str, value: Decimal) -> Rows:
        """A job's own rate is 0 or 1."""
        if value > 1:
            return rows
        return rows.filter(is_success=False) if value > 0 else rows.none()

    def efficient(self, rows: Rows, name: str, value: Decimal) -> Rows:
        """``average / (average + own) >= value`` is ``own <= average * (1 - value) / value``."""
        assert self.scope is not None
        average = recent_average(self.scope)
        if average is None:
            return rows.none()
        rows = rows.filter(nano_per_token__isnull=False)
        if value == 0:
            return rows
        return rows.filter(nano_per_token__lte=average * float((1 - value) / value))

    def rated(self, rows: Rows, name: str, value: Decimal) -> Rows:
        return rows.filter(rated_tenths__gte=float(value * 10))


def recent_average(scope: Scope) -> float | None:
    """What a token cost the company in the last 30 days, in nano-USD."""
    whole = Scope(scope.company_id, None, scope.sandbox, scope.timezone)
    found = tallies(whole, "provider", "model", start=scope.today - timedelta(days=AVERAGE_DAYS - 1))
    return analytics.average_nano_per_token(found)


def listed(scope: Scope) -> Rows:
    """The scope's usage with all that its filters and orderings ask for."""
    return rated(usage_of(scope)).annotate(nano_per_token=NANO_PER_TOKEN)


def filtered(scope: Scope, asked: dict[str, str]) -> Rows:
    """The scope's rows that ``asked``, a query that was checked when it was kept, tells of."""
    found = UsageFilters(asked, listed(scope), scope=scope)
    if not found.is_valid():
        raise ValueError(f"filters that were kept are refused: {found.errors}")
    return found.qs
