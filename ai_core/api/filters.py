"""Filters of ``GET /ai/jobs/``."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import QuerySet

from ai_core.models import AIJob
from ai_core.selectors import search
from megahub.kernel.filters import Flag, Moment, Seconds, Usd, Whole
from megahub.tenancy.authentication import caller_of

GENERATIONS = (("new", "new"), ("legacy", "legacy"))


class JobFilters(filters.FilterSet):
    """Names are those of reference/megahub-endpoints.md and megahub-shapes.md."""

    status = filters.ChoiceFilter(choices=AIJob.Status.choices)
    priority = filters.ChoiceFilter(choices=AIJob.Priority.choices)
    job_type = filters.CharFilter(field_name="job_type__name")
    created_by = Whole(field_name="created_by_id")
    is_async = Flag()
    sandbox = Flag()
    model = filters.CharFilter()
    progress_percentage__gte = Whole(field_name="progress_percentage", lookup_expr="gte")
    progress_percentage__lte = Whole(field_name="progress_percentage", lookup_expr="lte")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")
    search = filters.CharFilter(method="find", max_length=200)
    openai_job__model = filters.CharFilter()
    openai_job__generation = filters.ChoiceFilter(choices=GENERATIONS)
    openai_job__reasoning_effort = filters.CharFilter()
    usage__execution_time_seconds__gte = Seconds(field_name="usage__execution_time_ms", lookup_expr="gte")
    usage__execution_time_seconds__lte = Seconds(field_name="usage__execution_time_ms", lookup_expr="lte")
    usage__total_cost__gte = Usd(field_name="usage__total_cost_nano_usd", lookup_expr="gte")
    usage__total_cost__lte = Usd(field_name="usage__total_cost_nano_usd", lookup_expr="lte")

    class Meta:
        model = AIJob
        fields: tuple[str, ...] = ()

    def find(self, rows: QuerySet[AIJob], name: str, text: str) -> QuerySet[AIJob]:
        """Descriptions, job ids and prompts that hold the text."""
        return search.found(rows, caller_of(self.request).company_id, text)


ORDERING: dict[str, Any] = {
    **{
        name: name
        for name in (
            "id",
            "created_at",
            "started_at",
            "completed_at",
            "status",
            "priority",
            "model",
            "progress_percentage",
            "generation",
        )
    },
    "job_type": "job_type__name",
    "execution_time": "execution_time_ms",
    "execution_time_seconds": "execution_time_ms",
    "usage__total_cost": "usage__total_cost_nano_usd",
}
