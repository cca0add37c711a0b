"""Filters of ``GET /ai/jobs/``."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet

from ai_core.models import AIJob
from megahub.kernel.filters import Flag, Moment, Number


class JobFilters(filters.FilterSet):
    """Names are those of reference/megahub-endpoints.md."""

    status = filters.ChoiceFilter(choices=AIJob.Status.choices)
    priority = filters.ChoiceFilter(choices=AIJob.Priority.choices)
    job_type = filters.CharFilter(field_name="job_type__name")
    created_by = Number(field_name="created_by_id")
    is_async = Flag()
    model = filters.CharFilter()
    progress_percentage__gte = Number(field_name="progress_percentage", lookup_expr="gte")
    progress_percentage__lte = Number(field_name="progress_percentage", lookup_expr="lte")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")
    search = filters.CharFilter(method="find")

    class Meta:
        model = AIJob
        fields: tuple[str, ...] = ()

    def find(self, rows: QuerySet[AIJob], name: str, text: str) -> QuerySet[AIJob]:
        """Descriptions and job ids that hold the text."""
        return rows.filter(Q(description__icontains=text) | Q(job_id__icontains=text))


ORDERING: dict[str, Any] = {
    name: name for name in ("id", "created_at", "started_at", "completed_at", "status", "priority", "model")
}
