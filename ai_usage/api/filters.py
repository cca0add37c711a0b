"""Orderings of ``GET /ai/usage/``, and which of its filters the rollups can count by."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request

from megahub.kernel.filters import StrictFilterBackend

Rows = QuerySet[Any]


class UsageFilterBackend(StrictFilterBackend):
    """The list's filters know its scope; the view keeps them, to count by rollups."""

    def get_filterset(self, request: Request, queryset: Rows, view: Any) -> Any:
        found = super().get_filterset(request, queryset, view)
        view.filterset = found
        return found

    def get_filterset_kwargs(self, request: Request, queryset: Rows, view: Any) -> dict[str, Any]:
        return {**super().get_filterset_kwargs(request, queryset, view), "scope": view.usage_scope}


class ExportFilterBackend(UsageFilterBackend):
    """The list's filters, beside what an export itself is told."""

    reserved = StrictFilterBackend.reserved | {"async", "email"}


#: Filters that the rollups know too, and by which condition of theirs.
COUNTED: dict[str, str | None] = {
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
