"""What OpenAI's words say of jobs, as a page to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateFilter
from unfold.decorators import display

from ai_openai.models import OpenAIJob
from ai_usage.admin.ledger import ModelFilter
from megahub.kernel.admin import GrowingAdmin, document, link, page


@admin.register(OpenAIJob)
class OpenAIJobAdmin(GrowingAdmin):
    """The parameters that jobs were sent with."""

    names = (_("OpenAI job"), _("OpenAI jobs"))
    list_display = (
        "created_at company job model generation temperature max_tokens max_completion_tokens"
        " reasoning_effort"
    ).split()
    list_filter = (
        ("company", AutocompleteSelectFilter), ModelFilter, ("created_at", RangeDateFilter),
    )  # fmt: skip
    list_select_related = ("company",)
    list_deferred = ("tools", "response_format", "tool_resources", "openai_id", "reasoning_steps")
    search_fields = ("ai_job__job_id",)
    fields = (
        "job company model generation temperature max_tokens max_completion_tokens reasoning_effort"
        " messages_format tools_shown format_shown created_at"
    ).split()
    readonly_fields = ("job", "tools_shown", "format_shown")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OpenAIJob]:
        rows: QuerySet[OpenAIJob] = super().get_queryset(request)
        return rows.annotate(job_ref=F("ai_job__job_id"))

    @display(description=_("job"))
    def job(self, row: Any) -> Any:
        return link(page("ai_core_aijob", row.ai_job_id), row.job_ref)

    @display(description=_("tools"))
    def tools_shown(self, row: OpenAIJob) -> Any:
        return document(row.tools)

    @display(description=_("response format"))
    def format_shown(self, row: OpenAIJob) -> Any:
        return document(row.response_format)
