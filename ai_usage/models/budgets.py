"""Budgets and their calendar windows."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned


class Budget(CompanyOwned):
    """A limit on what jobs may cost (or how many tokens or jobs there may be) in a calendar window.

    ``scope`` says which jobs count: all of the company's, one brand's, one provider's, one model's,
    one API key's, one user's, or the reasoning models'; ``scope_value`` names which one.
    """

    class Scope(models.TextChoices):
        COMPANY = "company", _("Whole company")
        BRAND = "brand", _("Brand")
        PROVIDER = "provider", _("Provider")
        MODEL = "model", _("Model")
        API_KEY = "api_key", pgettext_lazy("heading", "API key")
        USER = "user", _("User")
        REASONING = "reasoning", _("Reasoning models")

    class Unit(models.TextChoices):
        NANO_USD = "nano_usd", _("Cost (nano-USD)")
        TOKENS = "tokens", _("Tokens")
        JOBS = "jobs", _("Jobs")

    class Period(models.TextChoices):
        DAY = "day", _("Day")
        MONTH = "month", _("Month")
        TOTAL = "total", _("In total")

    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.COMPANY)
    scope_value = models.CharField(max_length=120, blank=True)
    period = models.CharField(max_length=5, choices=Period.choices, default=Period.MONTH)
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.NANO_USD)
    limit = models.BigIntegerField()
    is_hard = models.BooleanField(
        default=True, help_text=_("A hard budget refuses; a soft one only counts.")
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["company", "scope", "scope_value", "period", "unit"], name="budget_once"
            ),
            models.CheckConstraint(condition=Q(limit__gte=0), name="budget_limit_not_negative"),
        ]

    def __str__(self) -> str:
        what = f"{self.get_scope_display()} {self.scope_value}".strip()
        return f"{what}, {self.get_period_display()}, {self.get_unit_display()}"


class BudgetWindow(models.Model):
    """One calendar window of a budget: what is held for jobs that have not ended, and what was spent.

    ``reserved`` is the sum of the open jobs' ``holds``, ``spent`` that of the ledger. Changed
    only by conditional updates in the journal's transactions (ai_usage/services/budgets.py).
    """

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="windows")
    starts_on = models.DateField()
    sandbox = models.BooleanField(default=False)
    reserved = models.BigIntegerField(default=0)
    spent = models.BigIntegerField(default=0)
    #: How much of ``spent`` counts no longer against the limit (``reset_quotas``).
    forgiven = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "starts_on", "sandbox"], name="one_window_per_start"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="reserved_not_negative"),
            models.CheckConstraint(condition=Q(spent__gte=0), name="spent_not_negative"),
        ]

    @property
    def used(self) -> int:
        """What counts against the limit: spent, without what was forgiven."""
        return max(0, self.spent - self.forgiven)

    def __str__(self) -> str:
        return gettext("%(budget)s from %(day)s") % {"budget": self.budget, "day": self.starts_on}
