"""Providers, and what their currencies are worth."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ai_providers.models import AIProvider, ExchangeRate
from megahub.kernel import clock
from megahub.kernel.admin import HubAdmin, Kept

#: Their names, of those that are not rows.
PROVIDERS = {"openai": "OpenAI", "infomaniak": "Infomaniak", "anthropic": "Anthropic", "google": "Google"}


@admin.register(AIProvider)
class AIProviderAdmin(Kept, HubAdmin):
    """The providers that the hub speaks to; which there are, the code says."""

    names = (_("provider"), _("providers"))
    list_display = ("display_name", "name", "base_url", "default_model", "rate_limit_rpm", "is_active")
    readonly_fields = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "base_url":
            kwargs["assume_scheme"] = "https"
            kwargs["help_text"] = _(
                "Leave empty for the provider's own address. Stored keys are bound to the address: after"
                " a change they must be stored again."
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)


class RateForm(forms.ModelForm):
    """A rate of a currency other than the dollar."""

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).upper()
        if not (len(currency) == 3 and currency.isascii() and currency.isalpha()) or currency == "USD":
            raise forms.ValidationError(_("Three letters of a currency other than the dollar, as in CHF."))
        return currency


@admin.register(ExchangeRate)
class ExchangeRateAdmin(Kept, HubAdmin):
    """Rates by day: the newest by a day holds. A wrong one can be mended; a newer one is added."""

    names = (_("exchange rate"), _("exchange rates"))
    form = RateForm
    list_display = ("currency", "day", "usd", "source")
    list_filter = ("currency",)
    fields = ("currency", "day", "usd", "source")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("currency", "day")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"day": clock.now().date(), **super().get_changeform_initial_data(request)}
