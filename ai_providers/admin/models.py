"""What an administrator says of models: block one, or price it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget

from ai_providers import selectors
from ai_providers.admin.providers import PROVIDERS
from ai_providers.catalogue import loading
from ai_providers.domain import pricing
from ai_providers.domain.spec import ModelSpec, Price
from ai_providers.domain.wire import Usage
from ai_providers.models import AIModel, ExchangeRate
from megahub.kernel import clock
from megahub.kernel.admin import HubAdmin, table, usd
from megahub.kernel.errors import ServerError

PRICES = ("input_price", "cache_read_price", "cache_write_price", "output_price")
#: What the preview of a price counts.
SAMPLE = Usage(input=1000, output=1000)


def status_of(spec: ModelSpec, today: date) -> tuple[str, Any]:
    """(``spec.status``, the same in words with the shutdown date)."""
    status = spec.status(today)
    if spec.shutdown_date is None:
        return status, pgettext_lazy("model", "active")
    words = gettext("retired %s") if status == "retired" else gettext("until %s")
    return status, words % date_format(spec.shutdown_date, "SHORT_DATE_FORMAT")


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

    class Media:
        js = (forms.Script("ai_providers/preview.js", type="module"),)

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
        """Costs as they are saved; static/ai_providers/preview.js asks for those of what is typed."""
        return format_html(
            '<div data-hub-preview data-url="{}" data-model="{}" data-names="{}">{}</div>',
            reverse("admin:ai_providers_aimodel_preview"),
            row.model_id,
            " ".join(AIModelForm.Meta.fields),
            _preview(row),
        )

    def get_urls(self) -> list[Any]:
        asked = self.admin_site.admin_view(self.preview_typed)
        return [path("preview/", asked, name="ai_providers_aimodel_preview"), *super().get_urls()]

    def preview_typed(self, request: HttpRequest) -> HttpResponse:
        """What an override would cost as it is typed (a query), or what is wrong with it."""
        if not (self.has_change_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        model_id = request.GET.get("model_id", "")
        saved = AIModel.objects.filter(model_id=model_id).first()
        form = AIModelForm(request.GET, instance=saved or AIModel(model_id=model_id))
        if model_id not in loading.models():
            return HttpResponse(gettext("Choose a model."))
        return HttpResponse(_preview(form.instance) if form.is_valid() else form.errors.as_ul())


def _preview(row: AIModel) -> Any:
    """Costs at the price in force, and at this override's when it begins later."""
    spec = loading.models().get(row.model_id)
    if spec is None:
        return _("Choose a model.")
    today = clock.now().date()
    days = [today, row.price_since] if row.price_since and row.price_since > today else [today]
    headers = [_("on"), _("in / out for a million tokens"), _("1,000 in + 1,000 out")]
    return table(headers, [_costs(spec, day, row) for day in days])


def _costs(spec: ModelSpec, day: date, row: AIModel) -> list[Any]:
    """A day's price of a model under this override, and what the sample costs at it."""
    shown = date_format(day, "SHORT_DATE_FORMAT")
    try:
        price, priced = selectors.price_of(spec, day, row)
        cost = pricing.cost(price, SAMPLE, selectors.rate_of(price.currency, day))
    except ServerError as error:
        return [shown, error.text(gettext(error.message)), None]
    if priced:
        return [shown, rates_of(price), usd(cost.usd_nano)]
    return [shown, _("unpriced, held as"), usd(cost.usd_nano)]
