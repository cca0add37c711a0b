"""The ledger, usage, alerts, and the page of what has no price yet."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format, localize
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter, RangeDateFilter
from unfold.decorators import action, display

from ai_providers.catalogue import loading
from ai_providers.models import AIModel
from ai_usage.models import AIJobUsage, LedgerEntry
from ai_usage.services import repricing
from megahub.kernel.admin import GrowingAdmin, link, page, pages, table, usd

OF_COMPANY = ("company", AutocompleteSelectFilter)
#: Labels' colours in lists, by value.
KINDS = {"settle": "success", "void": "info", "adjust": "warning", "manual": "info"}


class ModelFilter(DropdownFilter):
    """By model, from the catalogue: the rows are not asked which models they have."""

    title = _("model")
    parameter_name = "model"
    column = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in loading.models()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class ModelNameFilter(ModelFilter):
    """The same for usage, which calls its column otherwise."""

    column = "model_name"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(GrowingAdmin):
    """The append-only ledger, and the page of what has no price yet."""

    names = (_("ledger entry"), _("ledger entries"))
    list_display = "created_at company kind_shown job model tokens cost charged sandbox".split()
    list_filter = (
        OF_COMPANY,
        "kind",
        ModelFilter,
        "sandbox",
        ("cost_nano_usd", admin.EmptyFieldListFilter),
        ("created_at", RangeDateFilter),
    )
    list_select_related = ("company",)
    search_fields = ("job_ref",)
    fieldsets = (
        (None, {"fields": (
            ("kind", "job"), ("company", "brand"), ("created_at", "sandbox"), ("is_success", "attempt_no"),
        )}),
        (_("Model"), {"fields": (("provider", "model"), ("generation", "reasoning_effort"))}),
        (_("Tokens"), {"fields": (
            ("input_tokens", "output_tokens"), ("cache_read_tokens", "cache_write_tokens"),
            ("reasoning_tokens", "is_estimated"),
        )}),
        (_("Money"), {"fields": (
            ("cost", "cost_input"), ("charged", "reserved"), ("currency", "amount_nano"),
            ("rate_usd", "rate_day"), "price_since",
        )}),
        (_("Time"), {"fields": (("execution_time_ms", "first_byte_ms"),)}),
    )  # fmt: skip
    readonly_fields = ("job", "brand", "cost", "cost_input", "charged", "reserved")
    actions_list = ("unpriced",)

    @display(description=_("kind"), label=KINDS)
    def kind_shown(self, entry: LedgerEntry) -> tuple[str, str]:
        return entry.kind, entry.get_kind_display()

    @display(description=_("job"))
    def job(self, entry: LedgerEntry) -> Any:
        """A manual entry has none: its maker's reference stands alone."""
        if entry.kind == "manual":
            return entry.job_ref
        return link(page("ai_core_aijob", entry.job_id), entry.job_ref)

    @display(description=_("brand"))
    def brand(self, entry: LedgerEntry) -> Any:
        return link(page("tenancy_brand", entry.brand_id), entry.brand_id) if entry.brand_id else None

    @display(description=_("tokens"))
    def tokens(self, entry: LedgerEntry) -> int:
        return sum(getattr(entry, name) for name in repricing.TOKENS)

    @display(description=_("cost"), ordering="cost_nano_usd")
    def cost(self, entry: LedgerEntry) -> str | None:
        return usd(entry.cost_nano_usd)

    @display(description=_("cost of the input"))
    def cost_input(self, entry: LedgerEntry) -> str | None:
        return usd(entry.cost_input_nano_usd)

    @display(description=_("charged"))
    def charged(self, entry: LedgerEntry) -> str | None:
        return usd(entry.charged_nano_usd)

    @display(description=_("was held"))
    def reserved(self, entry: LedgerEntry) -> str | None:
        return usd(entry.reserved_nano_usd)

    @action(description=_("Unpriced usage"), icon="sell", permissions=("view",))
    def unpriced(self, request: HttpRequest) -> HttpResponse:
        """What was used without a price; a POST prices what has one by now."""
        if request.method == "POST" and self.has_act_permission(request):
            self._price(request)
            return HttpResponseRedirect(request.path)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Unpriced usage"),
            "table": unpriced_table(),
            "can_price": self.has_act_permission(request),
        }
        return TemplateResponse(request, "ai_usage/unpriced.html", context)

    def _price(self, request: HttpRequest) -> None:
        lines = [line for line in repricing.price_unpriced() if line.jobs]
        for line in lines:
            words = {"model": line.model, "jobs": line.jobs}
            words |= {"before": usd(line.before_nano_usd), "after": usd(line.after_nano_usd)}
            text = ngettext(
                "%(model)s: %(jobs)d job priced, %(after)s instead of %(before)s.",
                "%(model)s: %(jobs)d jobs priced, %(after)s instead of %(before)s.",
                line.jobs,
            )
            self.message_user(request, text % words)
        if not lines:
            self.message_user(request, _("Nothing could be priced: no price is known for those days."))


def unpriced_table() -> Any:
    """The models without a price, each with where to set one."""
    own = AIModel.objects.in_bulk(field_name="model_id")
    headers = [_("model"), _("provider"), _("jobs"), _("tokens"), _("charged"), _("first"), _("last"), ""]
    rows = []
    for found in repricing.overview():
        query = urlencode({"model_id": found.model, "price_since": found.first.date()})
        address = f"{reverse('admin:ai_providers_aimodel_add')}?{query}"
        if found.model in own:
            address = page(AIModel, own[found.model].pk)
        step = _("ready to be priced") if found.is_known else link(address, _("set a price"))
        days = [date_format(moment, "SHORT_DATE_FORMAT") for moment in (found.first, found.last)]
        entries = link(pages("ai_usage_ledgerentry", model=found.model), found.model)
        cells = [entries, found.provider, found.jobs, localize(found.tokens), usd(found.charged_nano_usd)]
        rows.append([*cells, *days, step])
    return table(headers, rows)


@admin.register(AIJobUsage)
class AIJobUsageAdmin(GrowingAdmin):
    """What each job used and cost, as clients read it."""

    names = (_("job usage"), _("usage of jobs"))
    list_display = (
        "created_at company job model_name input_tokens output_tokens cost is_success sandbox".split()
    )
    list_filter = (
        OF_COMPANY,
        ModelNameFilter,
        "sandbox",
        "is_success",
        ("total_cost_nano_usd", admin.EmptyFieldListFilter),
        ("created_at", RangeDateFilter),
    )
    list_select_related = ("company",)
    search_fields = ("ai_job__job_id",)
    fields = (
        "job company brand provider_name model_name generation reasoning_effort sandbox "
        "input_tokens cached_tokens output_tokens reasoning_tokens total_tokens is_estimated "
        "cost_input cost_output cost execution_time_ms first_byte_ms is_success created_at"
    ).split()
    readonly_fields = ("job", "cost_input", "cost_output", "cost")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AIJobUsage]:
        rows: QuerySet[AIJobUsage] = super().get_queryset(request)
        return rows.annotate(job_ref=F("ai_job__job_id"))

    @display(description=_("job"))
    def job(self, usage: Any) -> Any:
        if usage.kind == "manual":
            return usage.reference
        return link(page("ai_core_aijob", usage.ai_job_id), usage.job_ref)

    @display(description=_("cost of the input"))
    def cost_input(self, usage: AIJobUsage) -> str | None:
        return usd(usage.cost_input_nano_usd)

    @display(description=_("cost of the output"))
    def cost_output(self, usage: AIJobUsage) -> str | None:
        return usd(usage.cost_output_nano_usd)

    @display(description=_("cost"), ordering="total_cost_nano_usd")
    def cost(self, usage: AIJobUsage) -> str | None:
        return usd(usage.total_cost_nano_usd)
