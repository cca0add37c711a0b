"""Budgets and their calendar windows."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ai_usage.domain.quotas import NO_LIMIT
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
    #: Since when it is as it is.
    changed_at = models.DateTimeField(default=clock.now, editable=False)

    #: A user is no company's: memberships come and go.
    scopes_point_to: ClassVar[dict[str, str]] = {"brand": "tenancy.Brand", "api_key": "tenancy.ApiKey"}
    audited = ("scope", "scope_value", "period", "unit", "limit", "is_hard", "is_active")

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["company", "scope", "scope_value", "period", "unit"], name="budget_once"
            ),
            models.CheckConstraint(condition=Q(limit__gte=0), name="budget_limit_not_negative"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.changed_at = clock.now() if self.pk else self.created_at
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "changed_at"}
        with transaction.atomic():
            remember_limits(Budget.rows.filter(pk=self.pk))
            super().save(*args, **kwargs)

    def __str__(self) -> str:
        what = f"{self.get_scope_display()} {self.scope_value}".strip()
        return f"{what}, {self.get_period_display()}, {self.get_unit_display()}"


def remember_limits(budgets: models.QuerySet[Budget]) -> None:
    """Before budgets change: what their windows were held to until now, for ``verify_ledger``.

    Locked until the change is committed: of two at once the second remembers what the first made. New
    windows, which only refer to a budget, do not wait for it.
    """
    for budget in budgets.select_for_update(no_key=True).order_by("pk"):
        was = budget.limit if budget.is_hard and budget.is_active else NO_LIMIT
        budget.windows.update(was_limit=Greatest(Coalesce("was_limit", 0), was))


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
    #: What attempts of unknown outcome may have cost (ai_usage/services/exposures.py).
    unknown_exposure = models.BigIntegerField(default=0, db_default=0)
    #: How much of ``spent`` counts no longer against the limit (``reset_quotas``).
    forgiven = models.BigIntegerField(default=0, db_default=0)
    #: How much of ``spent`` was used before there was this budget (services/defaults.py).
    opening = models.BigIntegerField(default=0, db_default=0, editable=False)
    #: The greatest limit that held for it before the present one: it may have been used up to there.
    was_limit = models.BigIntegerField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "starts_on", "sandbox"], name="one_window_per_start"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="reserved_not_negative"),
            models.CheckConstraint(condition=Q(spent__gte=0), name="spent_not_negative"),
            models.CheckConstraint(condition=Q(unknown_exposure__gte=0), name="exposure_not_negative"),
        ]

    @property
    def held(self) -> int:
        """What is kept of the limit beside what was used: for open jobs, and for unknown outcomes."""
        return self.reserved + self.unknown_exposure

    @property
    def used(self) -> int:
        """What counts against the limit: spent, without what was forgiven."""
        return max(0, self.spent - self.forgiven)

    def __str__(self) -> str:
        return gettext("%(budget)s from %(day)s") % {"budget": self.budget, "day": self.starts_on}


class UnknownExposure(CompanyOwned):
    """What an attempt of unknown outcome may have cost: held against the budgets, billed to nobody.

    ``holds`` as the job's own (windows and amounts). It ends when the attempt's true cost arrives after
    all (``late``), when it becomes known that there was none (``nothing``), or after
    HUB_UNKNOWN_EXPOSURE_HOURS (``expired``).
    """

    points_to: ClassVar[dict[str, str]] = {"job_id": "ai_core.AIJob"}

    class End(models.TextChoices):
        LATE = "late", _("Its cost arrived late")
        NOTHING = "nothing", _("It cost nothing")
        EXPIRED = "expired", _("Never heard of")

    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # By number, not by key: it outlives the job, as the ledger does.
    job_id = models.BigIntegerField()
    attempt_no = models.PositiveSmallIntegerField()
    sandbox = models.BooleanField(default=False)
    holds = models.JSONField(default=list)
    nano_usd = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_as = models.CharField(max_length=8, choices=End.choices, blank=True)

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["job_id", "attempt_no"], name="one_exposure_per_attempt")
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(ended_at=None), name="exposure_open"),
        ]

    def __str__(self) -> str:
        return gettext("attempt %(number)s of job %(job)s") % {
            "number": self.attempt_no,
            "job": self.job_id,
        }
