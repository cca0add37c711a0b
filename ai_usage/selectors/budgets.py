"""The budgets that a caller may see, and their windows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from django.db.models import Q, QuerySet

from ai_usage.models import Budget, BudgetWindow
from megahub.tenancy.selectors import Caller, bound_brands


def budgets_of(caller: Caller) -> QuerySet[Budget]:
    """The company's budgets; of those bound to brands, their brands', their own and their key's."""
    rows: QuerySet[Budget] = Budget.objects.of(caller.company_id).select_related("company").order_by("id")
    bound = bound_brands(caller)
    if bound is None:
        return rows
    own = Q(scope="brand", scope_value__in=[str(pk) for pk in bound])
    own |= Q(scope="user", scope_value=str(caller.user_id))
    if caller.api_key_id is not None:
        own |= Q(scope="api_key", scope_value=str(caller.api_key_id))
    return rows.filter(own)


def open_windows(rows: Iterable[Budget], starts: dict[int, date]) -> dict[tuple[int, bool], BudgetWindow]:
    """Of each budget the window that began on the day of ``starts``: by budget and whether played."""
    found = BudgetWindow.objects.filter(budget__in=list(rows), starts_on__in=set(starts.values()))
    return {(row.budget_id, row.sandbox): row for row in found if row.starts_on == starts[row.budget_id]}


def windows_of(budget: Budget) -> QuerySet[BudgetWindow]:
    """All windows of a budget, the latest first."""
    rows: QuerySet[BudgetWindow] = BudgetWindow.objects.filter(budget=budget)
    return rows.order_by("-starts_on", "sandbox")
