"""Providers, models, credentials and rates: the pages of who answers, with whose key, at what price."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.text import format_lazy
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanWidget,
)

from ai_providers import selectors, services
from ai_providers.catalogue import loading
from ai_providers.domain import pricing
from ai_providers.domain.spec import ModelSpec, Price
from ai_providers.domain.wire import Usage
from ai_providers.models import AICredentials, AIModel, AIProvider, ExchangeRate, SealedKey
from megahub.kernel import clock
from megahub.kernel.admin import HubAdmin, Kept, ReadOnlyAdmin, ReadOnlyInline, table, usd
from megahub.kernel.errors import ServerError, ValidationFailed
from megahub.kernel.text import Text

PROVIDERS = {"openai": "OpenAI", "infomaniak": "Infomaniak", "anthropic": "Anthropic", "google": "Google"}
PRICES = ("input_price", "cache_read_price", "cache_write_price", "output_price")
#: What the preview of a price counts.
SAMPLE = Usage(input=1000, output=1000)


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


# Models ----------------------------------------------------------------------------------------


def status_of(spec: ModelSpec, today: date) -> tuple[str, Any]:
    """(retired | deprecated | active, the same in words with the shutdown date)."""
    if spec.shutdown_date is None:
        return "active", pgettext_lazy("model", "active")
    day = date_format(spec.shutdown_date, "SHORT_DATE_FORMAT")
    if spec.is_retired(today):
        return "retired", gettext("retired %s") % day
    return "deprecated", gettext("until %s") % day


def rates_of(price: Price) -> str:
    """The rates of input and output per million tokens."""
    incoming, outgoing = (price.rates.get(side, Decimal(0)).normalize() for side in ("input", "output"))
    return f"{incoming:f} / {outgoing:f} {price.currency}"


def model_choices() -> list[tuple[str, str]]:
    """The catalogue's models, each with what an administrator may want to mend."""
    priced = {spec.id for spec, price in selectors.listing() if price is not None}
    rows = loading.models().values()
    return [("", "")] + [
        (spec.id, f"{spec.id} ({spec.provider}{'' if spec.id in priced else ', ' + gettext('unpriced')})")
        for spec in rows
    ]


class AIModelForm(forms.ModelForm):
    """An override: the model from the catalogue, prices that can be charged."""

    class Meta:
        model = AIModel
        fields = ("model_id", "is_blocked", "price_since", "currency", *PRICES, "note")
        help_texts = {
            "currency": _("Prices are for a million tokens."),
            "price_since": _("Usage since that day is charged at it, and unpriced usage can be priced."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model_id" in self.fields:
            self.fields["model_id"].widget = UnfoldAdminSelect2Widget(choices=model_choices())
        known = ExchangeRate.objects.order_by("currency").values_list("currency", flat=True).distinct()
        self.fields["note"].widget.attrs["rows"] = 3
        choices = [(name, name) for name in ("USD", *known)]
        self.fields["currency"].widget = UnfoldAdminSelectWidget(choices=choices)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = {name: cleaned[name] for name in PRICES if cleaned.get(name) is not None}
        for name in [name for name, price in given.items() if price < 0]:
            self.add_error(name, _("A price cannot be negative."))
        if given and "input_price" not in given:
            self.add_error("input_price", _("Without it the other prices would not count."))
        day = cleaned.get("price_since")
        if given and day is not None:
            self._check_rate(cleaned.get("currency", "USD"), day)
        return cleaned

    def _check_rate(self, currency: str, day: date) -> None:
        try:
            selectors.rate_of(currency, day)
        except ServerError:
            self.add_error("currency", _("No exchange rate is known for that day."))


@admin.register(AIModel)
class AIModelAdmin(HubAdmin):
    """What an administrator says of a model beyond the catalogue: block it, or price it."""

    names = (_("model override"), _("model overrides"))
    form = AIModelForm
    list_display = ("model_id", "provider", "status", "in_force", "is_blocked", "price_since", "updated_at")
    list_filter = ("is_blocked",)
    search_fields = ("model_id", "note")
    fieldsets = (
        (None, {"fields": ("model_id", "facts", "is_blocked", "note")}),
        (_("Price for a million tokens"), {"fields": ("price_since", "currency", *PRICES, "preview")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: AIModel | None = None) -> tuple[str, ...]:
        return ("facts", "preview") if obj is None else ("model_id", "facts", "preview")

    @display(description=_("provider"))
    def provider(self, row: AIModel) -> str | None:
        spec = loading.models().get(row.model_id)
        return spec.provider if spec else None

    @display(
        description=_("status"), label={"active": "success", "deprecated": "warning", "retired": "danger"}
    )
    def status(self, row: AIModel) -> tuple[str, Any] | None:
        spec = loading.models().get(row.model_id)
        return status_of(spec, clock.now().date()) if spec else None

    @display(description=_("in / out for a million tokens"))
    def in_force(self, row: AIModel) -> Any:
        if row.is_blocked:
            return None
        price = {spec.id: price for spec, price in selectors.listing()}.get(row.model_id)
        return rates_of(price) if price is not None else _("unpriced")

    @display(description=_("in the catalogue"))
    def facts(self, row: AIModel) -> Any:
        spec = loading.models().get(row.model_id)
        if spec is None:
            return None
        facts = [PROVIDERS.get(spec.provider, spec.provider), spec.kind]
        facts.append(str(status_of(spec, clock.now().date())[1]))
        if spec.context_window:
            facts.append(gettext("%s tokens of context") % f"{spec.context_window:,}")
        if spec.replacement:
            facts.append(gettext("replaced by %s") % spec.replacement)
        return " · ".join(facts)

    @display(description=_("1,000 tokens in + 1,000 out"))
    def preview(self, row: AIModel) -> Any:
        """Costs at the price in force, and at this override's when it begins later."""
        spec = loading.models().get(row.model_id)
        if spec is None:
            return _("Shown after saving.")
        today = clock.now().date()
        days = [today, row.price_since] if row.price_since and row.price_since > today else [today]
        headers = [_("on"), _("in / out for a million tokens"), _("1,000 in + 1,000 out")]
        return table(headers, [_costs(spec, day) for day in days])


def _costs(spec: ModelSpec, day: date) -> list[Any]:
    """A day's price of a model, and what the sample costs at it."""
    shown = date_format(day, "SHORT_DATE_FORMAT")
    try:
        price, priced = selectors.price_of(spec, day)
        cost = pricing.cost(price, SAMPLE, selectors.rate_of(price.currency, day))
    except ServerError as error:
        return [shown, error.text(gettext(error.message)), None]
    if priced:
        return [shown, rates_of(price), usd(cost.usd_nano)]
    return [shown, _("unpriced, held as"), usd(cost.usd_nano)]


# Keys ------------------------------------------------------------------------------------------


def _key_field(provider: str) -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    label = format_lazy(_("{} API key"), PROVIDERS[provider])
    return forms.CharField(label=label, required=False, max_length=400, widget=widget)


def _remove_field() -> forms.BooleanField:
    return forms.BooleanField(label=_("Remove the stored key"), required=False, widget=UnfoldBooleanWidget)


class CredentialsForm(forms.ModelForm):
    """Keys go in and never come out: an empty field leaves the stored key as it is."""

    openai_api_key = _key_field("openai")
    openai_remove = _remove_field()
    infomaniak_api_key = _key_field("infomaniak")
    infomaniak_remove = _remove_field()
    anthropic_api_key = _key_field("anthropic")
    anthropic_remove = _remove_field()
    google_api_key = _key_field("google")
    google_remove = _remove_field()

    class Meta:
        model = AICredentials
        fields = ("company", "use_global_fallback", "openai_organization", "infomaniak_product_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        live = {key.provider: key for key in self.instance.keys.all()} if self.instance.pk else {}
        for provider in PROVIDERS:
            key = live.get(provider)
            self.fields[f"{provider}_api_key"].help_text = key_state(key) if key else _("No key is stored.")
            if key is None:
                del self.fields[f"{provider}_remove"]

    @property
    def keys(self) -> dict[str, str | None]:
        """What ``services.store_keys`` is to do: by provider, a key, None to remove, "" for nothing."""
        given: dict[str, str | None] = {}
        for provider in PROVIDERS:
            removed = self.cleaned_data.get(f"{provider}_remove")
            given[provider] = None if removed else self.cleaned_data[f"{provider}_api_key"]
        return given

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for provider in PROVIDERS:
            field = f"{provider}_api_key"
            key = cleaned.get(field)
            if key and cleaned.get(f"{provider}_remove"):
                self.add_error(field, _("Store a new key or remove the old one, not both."))
            elif key:
                self._check(provider, key)
        return cleaned

    def _check(self, provider: str, key: str) -> None:
        try:
            services.check_key(provider, key)
        except ValidationFailed as error:
            for field, texts in (error.field_errors or {}).items():
                for text in texts:
                    said = text.said(gettext(text.template)) if isinstance(text, Text) else text
                    self.add_error(field, said)


def key_state(key: SealedKey) -> str:
    """A stored key in words: its last four characters, since when, whether it was refused."""
    words = {"four": key.last_four, "since": date_format(key.created_at, "SHORT_DATETIME_FORMAT")}
    text = gettext("Stored: …%(four)s, since %(since)s.") % words
    if key.refused_at is not None:
        when = date_format(key.refused_at, "SHORT_DATETIME_FORMAT")
        text += " " + gettext("Refused by the provider on %s.") % when
    return text


class SealedKeyInline(ReadOnlyInline):
    """A company's keys of all times."""

    model = SealedKey
    fields = (
        "provider last_four created_at created_by validated_at refused_at retired_at retired_by".split()
    )
    ordering = ("-pk",)


@admin.register(AICredentials)
@method_decorator(sensitive_post_parameters(), name="changeform_view")
class AICredentialsAdmin(Kept, HubAdmin):
    """A company's keys at the providers. What is stored is told by its last four characters."""

    names = (_("provider keys of a company"), _("provider keys"))
    form = CredentialsForm
    list_display = ("company", "stored", "use_global_fallback", "updated_at")
    list_filter = (("company", AutocompleteSelectFilter), "use_global_fallback")
    list_select_related = ("company",)
    search_fields = ("company__name",)
    autocomplete_fields = ("company",)
    inlines = (SealedKeyInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AICredentials]:
        rows: QuerySet[AICredentials] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("keys", SealedKey.objects.unscoped().filter(retired_at=None)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("company",)

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type[ReadOnlyInline], ...]:
        return () if obj is None else self.inlines

    def get_fieldsets(self, request: HttpRequest, obj: AICredentials | None = None) -> list[Any]:
        extra = {"openai": ["openai_organization"], "infomaniak": ["infomaniak_product_id"]}
        live = {key.provider for key in obj.keys.all()} if obj is not None else set()
        sets: list[Any] = [(None, {"fields": ["company", "use_global_fallback"]})]
        for provider, name in PROVIDERS.items():
            own = [f"{provider}_api_key", *([f"{provider}_remove"] if provider in live else [])]
            sets.append((name, {"fields": own + extra.get(provider, [])}))
        return sets

    def save_model(self, request: HttpRequest, obj: AICredentials, form: Any, change: bool) -> None:
        row = services.store_keys(
            obj.company_id,
            form.keys,
            by=request.user.pk,
            use_global_fallback=obj.use_global_fallback,
            openai_organization=obj.openai_organization,
            infomaniak_product_id=obj.infomaniak_product_id,
        )
        obj.pk = row.pk

    @display(description=_("stored"))
    def stored(self, row: AICredentials) -> str:
        return ", ".join(
            f"{PROVIDERS.get(key.provider, key.provider)} …{key.last_four}"
            + (f" ({gettext('refused')})" if key.refused_at else "")
            for key in row.keys.all()
        )


@admin.register(SealedKey)
class SealedKeyAdmin(ReadOnlyAdmin):
    """The history of stored keys; never their sealed bytes."""

    names = (_("stored key"), _("history of keys"))
    list_display = ("company", *SealedKeyInline.fields)
    list_filter = (
        ("company", AutocompleteSelectFilter),
        "provider",
        ("retired_at", admin.EmptyFieldListFilter),
        ("refused_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("company", "created_by", "retired_by")
    ordering = ("-pk",)
    fields = ("company", *SealedKeyInline.fields)


# Rates -----------------------------------------------------------------------------------------


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
