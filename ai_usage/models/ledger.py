"""The append-only ledger, and usage per job as a view over it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned


class LedgerEntry(CompanyOwned):
    """One line of the ledger. Never changed, never deleted (a trigger refuses both).

    ``settle`` and ``void`` close a job, exactly one of them per job; ``late`` is the cost of an attempt
    that had been given up and answered after all: charged to the budgets, part of no job's usage;
    ``adjust`` prices later what was unpriced; ``manual`` tells of work that was done outside the hub: its
    ``job_id`` is negative (no job's), ``job_ref`` its maker's reference, and it is charged to no budget.
    ``charged_nano_usd`` is what counts against budgets: the cost, or for an unpriced usage the
    pessimistic amount until an ``adjust`` corrects it by the difference;
    ``cost_nano_usd`` is None while the cost is not known.
    """

    class Kind(models.TextChoices):
        SETTLE = "settle", _("Settlement")
        VOID = "void", _("Void")
        ADJUST = "adjust", _("Adjustment")
        MANUAL = "manual", _("Manual entry")
        LATE = "late", _("Late cost")

    append_only = True

    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    brand_id = models.BigIntegerField(null=True)
    # By number and name, not by key: the ledger outlives the jobs it tells of.
    points_to: ClassVar[dict[str, str]] = {"brand_id": "tenancy.Brand", "job_id": "ai_core.AIJob"}
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

    audited = ("job_ref", "kind", "provider", "model", "outcome", "cost_nano_usd")

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
                fields=["job_id", "attempt_no"], condition=Q(kind="late"), name="one_late_cost_per_attempt"
            ),
            models.UniqueConstraint(
                fields=["company", "job_ref"],
                condition=Q(kind="manual"),
                name="one_manual_entry_per_reference",
            ),
        ]
        indexes = [
            models.Index(fields=["company", "created_at"], name="ledger_by_company"),
            models.Index(fields=["company", "model", "-created_at", "-id"], name="ledger_by_model"),
            # Beside it ledger_by_amount (company, cost) and, of adjustments, ledger_adjusted: migrations
            # 0014 and 0018 make them.
            models.Index(fields=["model"], condition=Q(cost_nano_usd=None), name="ledger_unpriced"),
        ]

    def __str__(self) -> str:
        return gettext("%(kind)s of %(job)s") % {"kind": self.get_kind_display(), "job": self.job_ref}


class AIJobUsage(CompanyOwned):
    """What a job used, as people and dashboards read it: the ledger's settlements, job by job.

    A view (migration 0007): there is nothing beside the ledger that could differ from it. Work done
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
    #: The settlement's own, or the adjustment's.
    total_cost_nano_usd = models.BigIntegerField(null=True)
    own_cost_nano_usd = models.BigIntegerField(null=True)
    later_cost_nano_usd = models.BigIntegerField(null=True)
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
