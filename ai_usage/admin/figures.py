"""Rollups and ratings, as the hub keeps them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateFilter
from unfold.decorators import display

from ai_usage.admin.ledger import ModelFilter
from ai_usage.models import JobRating, UsageRollup
from megahub.kernel.admin import GrowingAdmin, link, page, usd

OF_COMPANY = ("company", AutocompleteSelectFilter)


@admin.register(UsageRollup)
class UsageRollupAdmin(GrowingAdmin):
    """A day's usage of one kind: what dashboards read."""

    names = (_("rollup of a day"), _("rollups"))
    list_display = "day company provider model jobs succeeded failures tokens cost unpriced sandbox".split()
    list_filter = (OF_COMPANY, "provider", ModelFilter, "sandbox", ("day", RangeDateFilter))
    list_select_related = ("company",)
    list_deferred = ("histogram",)
    ordering = ("-day", "-pk")
    fields = (
        ("company", "day"), ("provider", "model"), ("generation", "reasoning_effort"),
        ("sandbox", "brand"), ("jobs", "succeeded"), ("failed", "timeouts"), ("cancelled", "unpriced"),
        ("input_tokens", "output_tokens"), ("cache_read_tokens", "cache_write_tokens"),
        ("reasoning_tokens", "cost"), ("rating", "ratings"),
    )  # fmt: skip
    readonly_fields = ("brand", "cost", "rating")

    @display(description=_("failures"))
    def failures(self, row: UsageRollup) -> int:
        return row.failed + row.timeouts

    @display(description=_("tokens"))
    def tokens(self, row: UsageRollup) -> int:
        return row.input_tokens + row.output_tokens

    @display(description=_("cost"), ordering="cost_nano_usd")
    def cost(self, row: UsageRollup) -> str | None:
        return usd(row.cost_nano_usd)

    @display(description=_("brand"))
    def brand(self, row: UsageRollup) -> Any:
        return link(page("tenancy_brand", row.brand_id), row.brand_id) if row.brand_id else None

    @display(description=_("average rating"))
    def rating(self, row: UsageRollup) -> str | None:
        return f"{row.ratings_tenths / row.ratings / 10:.1f}" if row.ratings else None


@admin.register(JobRating)
class JobRatingAdmin(GrowingAdmin):
    """What people think of their jobs' results."""

    names = (_("rating"), _("ratings"))
    list_display = "updated_at company job user score comment".split()
    list_filter = (OF_COMPANY, ("updated_at", RangeDateFilter))
    list_select_related = ("company", "user")
    fields = ("company", "job", "user", "score", "comment", "created_at", "updated_at")
    readonly_fields = ("job", "score")

    @display(description=_("job"))
    def job(self, row: JobRating) -> Any:
        return link(page("ai_core_aijob", row.job_id), row.job_id)

    @display(description=_("score"), ordering="score_tenths")
    def score(self, row: JobRating) -> str:
        return f"{row.score_tenths / 10:g} / 10"
