"""The append-only ledger, usage per job, budgets with their windows, open reservations, alerts.

Money is an integer of nano-USD unless a field says otherwise. ``sandbox`` rows are played, never
paid; they are counted in windows and totals of their own.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
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

    def __str__(self) -> str:
        return gettext("%(budget)s from %(day)s") % {"budget": self.budget, "day": self.starts_on}


class LedgerEntry(CompanyOwned):
    """One line of the ledger. Never changed, never deleted (a trigger refuses both).

    ``settle`` and ``void`` close a job, exactly one of them per job; ``adjust`` prices later what was
    unpriced; ``manual`` tells of work that was done outside the hub: its ``job_id`` is negative (no
    job's), ``job_ref`` its maker's reference, and it is charged to no budget. ``charged_nano_usd`` is
    what counts against budgets: the cost, or for an unpriced usage the pessimistic amount until an
    ``adjust`` corrects it by the difference; ``cost_nano_usd`` is None while the cost is not known.
    """

    class Kind(models.TextChoices):
        SETTLE = "settle", _("Settlement")
        VOID = "void", _("Void")
        ADJUST = "adjust", _("Adjustment")
        MANUAL = "manual", _("Manual entry")

    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    brand_id = models.BigIntegerField(null=True)
    # By number and name, not by key: the ledger outlives the jobs it tells of.
    job_id = models.BigIntegerField()
    job_ref = models.CharField(max_length=40)
    attempt_no = models.PositiveSmallIntegerField(default=0)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    generation = models.CharField(max_length=6)
    reasoning_effort = models.CharField(max_length=10, null=True)
    sandbox = models.BooleanField(default=False)
    #: How the job ended (its status); None on what was written before this was kept.
    outcome = models.CharField(max_length=10, null=True)
    is_success = models.BooleanField(default=False)
    execution_time_ms = models.BigIntegerField(null=True)
    first_byte_ms = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    is_estimated = models.BooleanField(default=False)
    currency = models.CharField(max_length=3, null=True)
    amount_nano = models.BigIntegerField(null=True)
    rate_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    rate_day = models.DateField(null=True)
    price_since = models.DateField(null=True)
    cost_nano_usd = models.BigIntegerField(null=True)
    cost_input_nano_usd = models.BigIntegerField(null=True)
    charged_nano_usd = models.BigIntegerField(default=0)
    reserved_nano_usd = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(
                fields=["job_id"],
                condition=Q(kind__in=["settle", "void", "manual"]),
                name="one_closing_per_job",
            ),
            models.UniqueConstraint(
                fields=["job_id"], condition=Q(kind="adjust"), name="one_adjustment_per_job"
            ),
            models.UniqueConstraint(
                fields=["company", "job_ref"],
                condition=Q(kind="manual"),
                name="one_manual_entry_per_reference",
            ),
        ]
        indexes = [
            models.Index(fields=["company", "created_at"], name="ledger_by_company"),
            models.Index(
                F("company"),
                F("cost_nano_usd").desc(),
                condition=Q(cost_nano_usd__gt=0),
                name="ledger_by_cost",
            ),
            models.Index(fields=["model"], condition=Q(cost_nano_usd=None), name="ledger_unpriced"),
        ]

    def __str__(self) -> str:
        return gettext("%(kind)s of %(job)s") % {"kind": self.get_kind_display(), "job": self.job_ref}


class AIJobUsage(CompanyOwned):
    """What a job used, as people and dashboards read it: the ledger's settlements, job by job.

    A view (migration 0004): there is nothing beside the ledger that could differ from it. Work done
    outside the hub is in it too, without a job.
    """

    brand = models.ForeignKey("tenancy.Brand", null=True, on_delete=models.DO_NOTHING, related_name="+")
    ai_job = models.OneToOneField(
        "ai_core.AIJob", null=True, on_delete=models.DO_NOTHING, related_name="usage"
    )
    kind = models.CharField(max_length=6)
    reference = models.CharField(max_length=40)
    outcome = models.CharField(max_length=10)
    provider_name = models.CharField(max_length=40)
    model_name = models.CharField(max_length=120)
    generation = models.CharField(max_length=6)
    reasoning_effort = models.CharField(max_length=10, null=True)
    sandbox = models.BooleanField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    total_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    is_estimated = models.BooleanField()
    cost_input_nano_usd = models.BigIntegerField(null=True)
    cost_output_nano_usd = models.BigIntegerField(null=True)
    total_cost_nano_usd = models.BigIntegerField(null=True)
    execution_time_ms = models.BigIntegerField(null=True)
    first_byte_ms = models.BigIntegerField(null=True)
    is_success = models.BooleanField()
    created_at = models.DateTimeField()

    class Meta(CompanyOwned.Meta):
        managed = False
        db_table = "ai_usage_aijobusage"
        verbose_name = _("job usage")

    def __str__(self) -> str:
        return gettext("usage of job %s") % self.ai_job_id


class Figures(CompanyOwned):
    """What a day's rollup and the ledger's unfolded rows both say: sums over usage of one kind.

    ``day`` is the company's local day; ``brand_id`` 0 and ``reasoning_effort`` "" stand for none.
    ``jobs`` are the rows of AIJobUsage; ``timed_jobs`` those whose time is known. ``histogram`` counts
    execution times by bucket (domain/histogram.py). Ratings are counted in tenths of a point.
    """

    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    day = models.DateField()
    sandbox = models.BooleanField()
    brand_id = models.BigIntegerField()
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    generation = models.CharField(max_length=6)
    reasoning_effort = models.CharField(max_length=10)
    jobs = models.BigIntegerField(default=0)
    succeeded = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    timeouts = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost_nano_usd = models.BigIntegerField(default=0)
    cost_input_nano_usd = models.BigIntegerField(default=0)
    execution_ms = models.BigIntegerField(default=0)
    timed_jobs = models.BigIntegerField(default=0)
    ratings_tenths = models.BigIntegerField(default=0)
    ratings = models.BigIntegerField(default=0)
    histogram = models.JSONField(default=dict)

    class Meta(CompanyOwned.Meta):
        abstract = True


class UsageRollup(Figures):
    """A day's figures, folded from the ledger by beat (ai_usage/services/rollups.py)."""

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields="company sandbox day brand_id provider model generation reasoning_effort".split(),
                name="one_rollup_per_day_and_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.provider} {self.model}"


class UsageDay(Figures):
    """The rollups and, one by one, what has not been folded yet: true to the last job.

    A view (migration 0004). ``entry_id`` is the unfolded row's number (the greatest number of all for
    a rollup): asking for those above a cursor read a moment ago changes no result, and tells the
    planner how few they are.
    """

    id = models.CharField(max_length=40, primary_key=True)
    entry_id = models.BigIntegerField()

    class Meta(CompanyOwned.Meta):
        managed = False
        db_table = "ai_usage_usageday"

    def __str__(self) -> str:
        return f"{self.day} {self.provider} {self.model}"


class RollupCursor(models.Model):
    """How far the ledger and the ratings have been folded: one row.

    ``seen_…`` is what was there at ``seen_at``; once every transaction that was open then has ended
    (``seen_xid``), nothing below it can still appear, and it may be folded.
    """

    ledger_id = models.BigIntegerField(default=0)
    rating_id = models.BigIntegerField(default=0)
    seen_ledger_id = models.BigIntegerField(default=0)
    seen_rating_id = models.BigIntegerField(default=0)
    seen_xid = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return str(self.ledger_id)


class JobRating(CompanyOwned):
    """What a person thinks of a job's result: one row per person and job, which they may change."""

    job_id = models.BigIntegerField()
    user = models.ForeignKey("tenancy.User", on_delete=models.CASCADE, related_name="+", db_index=False)
    score_tenths = models.PositiveSmallIntegerField()
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["job_id", "user"], name="one_rating_per_person_and_job"),
            models.CheckConstraint(condition=Q(score_tenths__lte=100), name="rating_at_most_ten"),
        ]

    def __str__(self) -> str:
        return f"{self.score_tenths / 10} {self.job_id}"


class RatingChange(CompanyOwned):
    """By how much a rating changed the sum and the number of a job's ratings; appended, for the rollups."""

    job_id = models.BigIntegerField()
    tenths = models.SmallIntegerField()
    ratings = models.SmallIntegerField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.tenths / 10} {self.job_id}"


class AIUsageAlert(CompanyOwned):
    """Something that the company's people should know; one per type, subject and window.

    A type stands for a threshold (``quota_warning``, ``quota_critical``, …), so that a threshold gives
    one alert per window however often it is checked. ``message`` is English; ``said`` holds the
    template and words to say it in another language.
    """

    class AlertType(models.TextChoices):
        QUOTA_WARNING = "quota_warning", _("Quota nearly used up")
        QUOTA_CRITICAL = "quota_critical", _("Quota all but used up")
        QUOTA_EXCEEDED = "quota_exceeded", _("Quota used up")
        COST_WARNING = "cost_warning", _("Budget nearly used up")
        COST_EXCEEDED = "cost_exceeded", _("Budget used up")
        DAILY_SPIKE = "daily_spike", _("Costs of a day far above the mean")
        HIGH_FAILURE_RATE = "high_failure_rate", _("Many jobs fail")
        SLOW_EXECUTION = "slow_execution", _("Jobs take long")
        HIGH_COST_DEVIATION = "high_cost_deviation", _("Jobs cost more than before")
        UNUSUAL_USAGE = "unusual_usage", _("Far more jobs than usual")
        MANUAL = "manual", _("Made by hand")
        WEBHOOK_DISABLED = "webhook_disabled", _("Webhook switched off")
        EVALUATOR_FAILED = "evaluator_failed", _("Alerts could not be checked")
        MODEL_RETIRED = "model_retired", _("Retired model in use")
        MODEL_UNPRICED = "model_unpriced", _("Unpriced model in use")

    class Severity(models.TextChoices):
        INFO = "info", _("Information")
        WARNING = "warning", _("Warning")
        CRITICAL = "critical", _("Critical")

    alert_type = models.CharField(max_length=24, choices=AlertType.choices)
    provider_name = models.CharField(max_length=40, blank=True)
    subject = models.CharField(max_length=120)
    window_start = models.DateField()
    message = models.TextField()
    said = models.JSONField(null=True, editable=False)
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.WARNING)
    threshold_value = models.DecimalField(max_digits=20, decimal_places=6, null=True, blank=True)
    current_value = models.DecimalField(max_digits=20, decimal_places=6, null=True, blank=True)
    sandbox = models.BooleanField(default=False)
    email_sent = models.BooleanField(default=False)
    email_sent_at = models.DateTimeField(null=True, blank=True)
    is_resolved = models.BooleanField(default=False)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution_note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(CompanyOwned.Meta):
        ordering = (F("created_at").desc(),)
        constraints = [
            models.UniqueConstraint(
                fields=["company", "alert_type", "subject", "window_start", "sandbox"],
                name="one_alert_per_window",
            )
        ]
        indexes = [
            models.Index(fields=["company"], condition=Q(is_resolved=False), name="alert_open"),
            models.Index(fields=["company", "-created_at"], name="alert_by_company"),
        ]

    def __str__(self) -> str:
        return self.message


class AlertRule(CompanyOwned):
    """A company's own threshold for a type of alerts; without a row the default holds.

    What a threshold means and its default: ``ai_usage/domain/alerts.py``.
    """

    alert_type = models.CharField(max_length=24, choices=AIUsageAlert.AlertType.choices)
    threshold = models.DecimalField(max_digits=20, decimal_places=6)
    is_active = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["company", "alert_type"], name="one_rule_per_type"),
            models.CheckConstraint(condition=Q(threshold__gt=0), name="threshold_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.get_alert_type_display()}: {self.threshold.normalize():f}"
