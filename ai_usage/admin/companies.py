"""A company's budgets and quotas on its own page."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from ai_usage.admin.budgets import BudgetAdmin, amount, possible_starts, present_windows
from ai_usage.models import Budget, BudgetWindow
from megahub.kernel import charts
from megahub.kernel.admin import ReadOnlyInline, link, page
from megahub.tenancy.admin.companies import CompanyAdmin


class BudgetInline(ReadOnlyInline):
    """What is spent, held and left of each limit now; a provider's monthly ones are its quotas."""

    model = Budget
    verbose_name_plural = _("budgets and quotas")
    fields = ("own_page", "limit_shown", "bar", "spent", "held", "left", "is_hard", "is_active")
    ordering = ("pk",)
    tab = True
    limit_shown = BudgetAdmin.limit_shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        rows: QuerySet[Budget] = super().get_queryset(request)
        recent = BudgetWindow.objects.filter(starts_on__in=possible_starts())
        return rows.select_related("company").prefetch_related(
            Prefetch("windows", recent, to_attr="recent")
        )

    @display(description=_("budget"))
    def own_page(self, budget: Budget) -> Any:
        return link(page(Budget, budget.pk), budget)

    @display(description=_("used"))
    def bar(self, budget: Budget) -> Any:
        spent, held = _now(budget)
        colour = "bad" if spent + held >= budget.limit else "cost"
        spent_shown, held_shown, limit = (amount(budget.unit, n) for n in (spent, held, budget.limit))
        title = f"{spent_shown} + {held_shown} / {limit}"
        return charts.bar(title, [(colour, spent), ("held", held)], budget.limit)

    @display(description=_("spent now"))
    def spent(self, budget: Budget) -> str:
        return amount(budget.unit, _now(budget)[0])

    @display(description=_("held now"))
    def held(self, budget: Budget) -> str:
        return amount(budget.unit, _now(budget)[1])

    @display(description=_("left"))
    def left(self, budget: Budget) -> str:
        return amount(budget.unit, max(0, budget.limit - sum(_now(budget))))


def _now(budget: Budget) -> tuple[int, int]:
    """(what counts against the limit, what is held) in the open window of paid usage."""
    window = present_windows(budget).get(False)
    return (window.used, window.held) if window is not None else (0, 0)


CompanyAdmin.inlines = (*CompanyAdmin.inlines, BudgetInline)
