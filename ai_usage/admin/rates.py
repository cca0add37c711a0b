"""Rate limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from ai_usage.domain import rates
from ai_usage.models import RateLimit
from ai_usage.services import subjects
from megahub.kernel.admin import HubAdmin

UNITS = ("requests_per_minute", "tokens_per_minute")


class RateLimitForm(forms.ModelForm):
    """A limit of requests, of tokens, or of both; what it counts must exist in its company."""

    class Meta:
        model = RateLimit
        fields = ("company", "scope", "scope_value", *UNITS, "is_active")
        help_texts = {
            "scope_value": _("The number of the API key, or the name of the model; empty for the company."),
            "tokens_per_minute": _("Counted by an estimate, which is put right when a job ends."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in UNITS:
            self.fields[name].widget.attrs |= {"min": 1, "max": rates.MOST}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in UNITS:
            if cleaned.get(name) is not None and not 1 <= cleaned[name] <= rates.MOST:
                self.add_error(name, _("Between 1 and 1,000,000,000."))
        if not self.errors and all(cleaned.get(name) is None for name in UNITS):
            self.add_error(UNITS[0], _("Say how many requests or tokens a minute."))
        company, scope = cleaned.get("company"), cleaned.get("scope")
        if company and scope and not subjects.exists(company.pk, scope, cleaned.get("scope_value", "")):
            self.add_error("scope_value", _("There is no such thing in this company."))
        return cleaned


@admin.register(RateLimit)
class RateLimitAdmin(HubAdmin):
    """How many requests and tokens a minute."""

    names = (_("rate limit"), _("rate limits"))
    form = RateLimitForm
    list_display = ("company", "scope", "scope_value", *UNITS, "is_active", "changed_at")
    list_filter = (("company", AutocompleteSelectFilter), "scope", "is_active")
    list_select_related = ("company",)
    list_per_page = 50
    search_fields = ("company__name", "scope_value")
    ordering = ("company__name", "pk")
    autocomplete_fields = ("company",)

    def get_readonly_fields(self, request: HttpRequest, obj: RateLimit | None = None) -> tuple[str, ...]:
        return () if obj is None else ("company", "scope", "scope_value")
