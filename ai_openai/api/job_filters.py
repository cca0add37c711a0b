"""Filters and orderings of ``GET /ai/openai/jobs/``."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet

from ai_core.api.filters import GENERATIONS
from ai_core.models import AIJob
from ai_core.selectors.search import PromptHolds
from ai_openai.models import OpenAIJob
from ai_providers import selectors as providers
from megahub.kernel.filters import Chosen, Flag, Listed, Moment, Number, Seconds, Usd, Whole

TIERS = [(tier, tier) for tier in ("basic", "good", "high", "highest")]
COST = "ai_job__usage__total_cost_nano_usd"
TOKENS = "ai_job__usage__total_tokens"
TIME = "ai_job__usage__execution_time_ms"


class OpenAIJobFilters(filters.FilterSet):
    """Names are those of reference/megahub-endpoints.md and megahub-shapes.md."""

    model = filters.CharFilter()
    model__in = Listed(field_name="model", lookup_expr="in")
    model__startswith = filters.CharFilter(field_name="model", lookup_expr="startswith")
    generation = filters.ChoiceFilter(choices=GENERATIONS)
    generation__in = Chosen(field_name="generation", lookup_expr="in", choices=GENERATIONS)
    reasoning_effort = filters.CharFilter()
    temperature__gte = Number(field_name="temperature", lookup_expr="gte")
    temperature__lte = Number(field_name="temperature", lookup_expr="lte")
    total_tokens__gte = Whole(field_name=TOKENS, lookup_expr="gte")
    total_tokens__lte = Whole(field_name=TOKENS, lookup_expr="lte")
    has_tools = Flag()
    assistant_id = filters.CharFilter(method="by_assistant")
    ai_job__status = filters.ChoiceFilter(choices=AIJob.Status.choices)
    cost_usd__gte = Usd(field_name=COST, lookup_expr="gte")
    cost_usd__lte = Usd(field_name=COST, lookup_expr="lte")
    quality_score__gte = Number(field_name="quality_score", lookup_expr="gte")
    quality_score__lte = Number(field_name="quality_score", lookup_expr="lte")
    performance_tier = filters.ChoiceFilter(choices=TIERS, method="by_tier")
    execution_time_seconds__gte = Seconds(field_name=TIME, lookup_expr="gte")
    execution_time_seconds__lte = Seconds(field_name=TIME, lookup_expr="lte")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")
    sandbox = Flag(field_name="ai_job__sandbox")
    search = filters.CharFilter(method="find", max_length=200)

    class Meta:
        model = OpenAIJob
        fields: tuple[str, ...] = ()

    def by_assistant(self, rows: QuerySet[OpenAIJob], name: str, ref: str) -> QuerySet[OpenAIJob]:
        """None: OpenAI shut its Assistants down on 2026-08-26, before this hub had a first job."""
        return rows.none()

    def by_tier(self, rows: QuerySet[OpenAIJob], name: str, tier: str) -> QuerySet[OpenAIJob]:
        """Jobs of the models whose quality the catalogue says is this."""
        return rows.filter(model__in=providers.models_of_tier(tier))

    def find(self, rows: QuerySet[OpenAIJob], name: str, text: str) -> QuerySet[OpenAIJob]:
        """Descriptions, job ids and prompts that hold the text."""
        held = Q(ai_job__description__icontains=text) | Q(ai_job__job_id__icontains=text)
        return rows.filter(held | Q(PromptHolds(text, "ai_job__input_data")))


ORDERING: dict[str, Any] = {
    **{
        name: name
        for name in (
            "id",
            "model",
            "generation",
            "created_at",
            "temperature",
            "reasoning_effort",
            "max_tokens",
            "max_completion_tokens",
            "reasoning_steps",
            "quality_score",
        )
    },
    "cost_usd": COST,
    "total_tokens": TOKENS,
    "execution_time": TIME,
    "execution_time_seconds": TIME,
    "ai_job__status": "ai_job__status",
}
