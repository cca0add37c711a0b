"""Budgets and their windows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from ai_usage.models import Budget, BudgetWindow, UnknownExposure
from ai_usage.services import subjects
from megahub.kernel import clock, money
from megahub.kernel.admin import HubAdmin, ReadOnlyAdmin, ReadOnlyInline, usd

#: The greatest limit that its column can hold.
MOST = 2**63 - 1
#: What people call the units; the database counts nano-dollars.
UNITS = {
    Budget.Unit.NANO_USD: _("Cost in USD"),
    Budget.Unit.TOKENS: _("Tokens"),
    Budget.Unit.JOBS: _("Jobs"),
}


def amount(unit: str, value: int) -> str:
    """An amount of a budget's unit, as people read it."""
    return str(usd(value) if unit == Budget.Unit.NANO_USD else localize(value))


class BudgetForm(forms.ModelForm):
    """A limit in dollars, tokens or jobs; what it counts must exist in its company."""

    limit_amount = forms.DecimalField(
        label=_("Limit"),
        min_value=0,
        max_digits=28,
        decimal_places=9,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("In USD for a budget of costs, else a whole number of tokens or jobs."),
    )

    class Meta:
        model = Budget
        fields = ("company", "scope", "scope_value", "period", "unit", "is_hard", "is_active")
        help_texts = {
            "scope_value": _(
                "The number of the brand, user or API key, or the name of the provider or model; empty for"
                " the whole company and for the reasoning models."
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "unit" in self.fields:
            self.fields["unit"].widget.choices = list(UNITS.items())
        if self.instance.pk:
            limit = self.instance.limit
            in_usd = self.instance.unit == Budget.Unit.NANO_USD
            self.initial["limit_amount"] = f"{money.from_nano(limit).normalize():f}" if in_usd else limit

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        limit = cleaned.get("limit_amount")
        if limit is not None:
            self._set_limit(limit, cleaned.get("unit") or self.instance.unit)
        company, scope = cleaned.get("company"), cleaned.get("scope")
        if company and scope and not subjects.exists(company.pk, scope, cleaned.get("scope_value", "")):
            self.add_error("scope_value", _("There is no such thing in this company."))
        return cleaned

    def _set_limit(self, limit: Decimal, unit: str) -> None:
        if unit != Budget.Unit.NANO_USD and limit != limit.to_integral_value():
            self.add_error("limit_amount", _("A whole number."))
            return
        self.instance.limit = money.to_nano(limit) if unit == Budget.Unit.NANO_USD else int(limit)
        if self.instance.limit > MOST:
            self.add_error("limit_amount", _("This is more than can be counted."))


class WindowInline(ReadOnlyInline):
    """The windows of a budget, the latest first."""

    model = BudgetWindow
    fields = ("starts_on", "sandbox", "spent_shown", "reserved_shown")
    readonly_fields = fields
    ordering = ("-starts_on", "sandbox")
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[BudgetWindow]:
        rows: QuerySet[BudgetWindow] = super().get_queryset(request)
        return rows.select_related("budget")

    @display(description=_("spent"))
    def spent_shown(self, window: BudgetWindow) -> str:
        return amount(window.budget.unit, window.spent)

    @display(description=_("held"))
    def reserved_shown(self, window: BudgetWindow) -> str:
        return amount(window.budget.unit, window.held)


@admin.register(Budget)
class BudgetAdmin(HubAdmin):
    """Limits, with what their present window has spent and holds."""

    names = (_("budget"), _("budgets"))
    form = BudgetForm
    list_display = "company scope scope_value period limit_shown spent held used is_hard is_active".split()
    list_filter = (("company", AutocompleteSelectFilter), "scope", "period", "unit", "is_hard", "is_active")
    list_select_related = ("company",)
    list_per_page = 50
    search_fields = ("company__name", "scope_value")
    ordering = ("company__name", "pk")
    autocomplete_fields = ("company",)
    inlines = (WindowInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        rows: QuerySet[Budget] = super().get_queryset(request)
        recent = BudgetWindow.objects.filter(starts_on__in=possible_starts())
        return rows.prefetch_related(Prefetch("windows", recent, to_attr="recent"))

    def get_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        unit = "unit" if obj is None else "unit_shown"
        return ("company", "scope", "scope_value", "period", unit, "limit_amount", "is_hard", "is_active")

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        # Another unit or period would read the stored windows as what they are not.
        return () if obj is None else ("company", "scope", "scope_value", "period", "unit_shown")

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type[ReadOnlyInline], ...]:
        return () if obj is None else self.inlines

    @display(description=_("unit"))
    def unit_shown(self, budget: Budget) -> Any:
        return UNITS[Budget.Unit(budget.unit)]

    @display(description=_("limit"), ordering="limit")
    def limit_shown(self, budget: Budget) -> str:
        unit = "" if budget.unit == Budget.Unit.NANO_USD else f" {budget.get_unit_display().lower()}"
        return amount(budget.unit, budget.limit) + unit

    @display(description=_("spent now"))
    def spent(self, budget: Budget) -> str:
        return of_windows(budget, "spent")

    @display(description=_("held now"))
    def held(self, budget: Budget) -> str:
        return of_windows(budget, "held")

    @display(description=_("used"))
    def used(self, budget: Budget) -> str | None:
        if not budget.limit:
            return None
        window = present_windows(budget).get(False)
        taken = window.spent + window.held if window else 0
        return f"{100 * taken // budget.limit} %"


def possible_starts() -> set[date]:
    """The days on which a window that is open now, in whichever time zone, may have begun."""
    today = clock.now().date()
    days = [today + timedelta(days=shift) for shift in (-1, 0, 1)]
    return {clock.EPOCH_DAY, *days, *(day.replace(day=1) for day in days)}


def present_windows(budget: Any) -> dict[bool, BudgetWindow]:
    """The open window of a listed budget, and that of its sandbox, by ``sandbox``."""
    start = clock.window_start(budget.period, clock.now(), budget.company.timezone)
    return {window.sandbox: window for window in budget.recent if window.starts_on == start}


def of_windows(budget: Budget, column: str) -> str:
    """An amount of the open window, and the sandbox's beside it when there is one."""
    windows = present_windows(budget)
    shown = {played: amount(budget.unit, getattr(row, column)) for played, row in windows.items()}
    real = shown.get(False, amount(budget.unit, 0))
    return f"{real} ({gettext('sandbox')} {shown[True]})" if True in shown else real


@admin.register(BudgetWindow)
class BudgetWindowAdmin(ReadOnlyAdmin):
    """What was spent and is held, window by window."""

    names = (_("budget window"), _("budget windows"))
    list_display = ("budget", "company", "starts_on", "sandbox", "spent_shown", "reserved_shown")
    list_filter = (("budget__company", AutocompleteSelectFilter), "sandbox", ("starts_on", RangeDateFilter))
    list_select_related = ("budget__company",)
    ordering = ("-starts_on", "-pk")
    fields = ("budget", "company", "starts_on", "sandbox", "spent_shown", "reserved_shown")
    readonly_fields = ("company", "spent_shown", "reserved_shown")
    spent_shown = WindowInline.spent_shown
    reserved_shown = WindowInline.reserved_shown

    @display(description=_("company"))
    def company(self, window: BudgetWindow) -> str:
        return str(window.budget.company)


@admin.register(UnknownExposure)
class UnknownExposureAdmin(ReadOnlyAdmin):
    """What attempts of unknown outcome may have cost, and what became of it."""

    names = (_("unknown exposure"), _("unknown exposures"))
    list_display = ("job_id", "attempt_no", "company", "sandbox", "held_shown", "expires_at", "ended_as")
    list_filter = (("company", AutocompleteSelectFilter), "sandbox", "ended_as")
    list_select_related = ("company",)
    ordering = ("-pk",)
    fields = (*list_display, "created_at", "ended_at")
    readonly_fields = ("held_shown",)

    @display(description=_("held"))
    def held_shown(self, exposure: UnknownExposure) -> str | None:
        return usd(exposure.nano_usd)
