"""Policies, findings and erasures."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from ai_guard.models import Erasure, Finding, GuardPolicy
from megahub.kernel.admin import HubAdmin, ReadOnlyAdmin

OF_COMPANY = ("company", AutocompleteSelectFilter)


@admin.register(GuardPolicy)
class GuardPolicyAdmin(HubAdmin):
    """What a company keeps of prompts and answers, and what it allows in them."""

    names = (_("guard policy"), _("guard policies"))
    list_display = ("company", "prompts", "keep_days", "content_filter", "updated_at")
    list_filter = (OF_COMPANY, "prompts", "content_filter")
    list_select_related = ("company",)
    fields = ("company", "prompts", "keep_days", "content_filter", "words", "moderation", "forgotten_until")
    readonly_fields = ("forgotten_until",)
    autocomplete_fields = ("company",)


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    """What the content filter flagged or blocked."""

    names = (_("finding"), _("findings"))
    list_display = ("created_at", "company", "direction", "action", "hits", "model", "job_ref")
    list_filter = (OF_COMPANY, "direction", "action")
    list_select_related = ("company",)


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Whom the hub has forgotten on request: when, for which company, how much."""

    names = (_("erasure"), _("erasures"))
    list_display = ("created_at", "company", "jobs", "waiting", "created_by")
    list_filter = (OF_COMPANY,)
    list_select_related = ("company", "created_by")
