"""Usage per day, folded from the ledger, and the ratings that feed it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned


class Figures(CompanyOwned):
    """What a day's rollup and the ledger's unfolded rows both say: sums over usage of one kind.

    ``day`` is the company's local day; ``brand_id`` 0 and ``reasoning_effort`` "" stand for none.
    ``jobs`` are the rows of AIJobUsage; ``timed_jobs`` those whose time is known. ``histogram`` counts
    execution times by bucket (domain/histogram.py). Ratings are counted in tenths of a point.
    """

    points_to: ClassVar[dict[str, str]] = {"brand_id": "tenancy.Brand"}

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
        ]  # and an index, rollup_jobs (company, sandbox, day; all that jobs are counted by): migration 0020

    def __str__(self) -> str:
        return f"{self.day} {self.provider} {self.model}"


class UsageDay(Figures):
    """The rollups and, one by one, what has not been folded yet: true to the last job.

    A view (migration 0007). ``entry_id`` is the unfolded row's number (the greatest number of all for
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


class JobFigures(CompanyOwned):
    """How many of a brand's jobs of one type were made on a day, and in which end they are now.

    ``day`` is the local one on which they were made. Jobs that were deleted are not in it.
    """

    points_to: ClassVar[dict[str, str]] = {"brand_id": "tenancy.Brand"}

    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    sandbox = models.BooleanField()
    brand_id = models.BigIntegerField()
    day = models.DateField()
    job_type_id = models.BigIntegerField()
    jobs = models.BigIntegerField(default=0)
    completed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    timeout = models.BigIntegerField(default=0)

    class Meta(CompanyOwned.Meta):
        abstract = True


class JobRollup(JobFigures):
    """Jobs that have ended, folded by beat with the ledger (ai_usage/services/job_rollups.py)."""

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields="company sandbox brand_id day job_type_id".split(),
                name="one_job_rollup_per_day_and_type",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.jobs}"


class JobDay(JobFigures):
    """The rollups and, one by one, what has not been folded yet and the jobs that wait or run.

    A view (migration 0019); ``entry_id`` is as UsageDay's.
    """

    id = models.CharField(max_length=40, primary_key=True)
    entry_id = models.BigIntegerField()
    pending = models.BigIntegerField()
    running = models.BigIntegerField()

    class Meta(CompanyOwned.Meta):
        managed = False
        db_table = "ai_usage_jobday"

    def __str__(self) -> str:
        return f"{self.day} {self.jobs}"


class JobRemoval(CompanyOwned):
    """A job that had ended was deleted: it counts no more. Appended, for the rollups."""

    points_to: ClassVar[dict[str, str]] = {"job_id": "ai_core.AIJob"}

    job_id = models.BigIntegerField(unique=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        pass

    def __str__(self) -> str:
        return str(self.job_id)


class RollupCursor(models.Model):
    """How far the ledger, the ratings and the jobs have been folded: one row.

    ``job_entry_id`` is the ledger's entry up to which jobs that ended have been counted.

    ``seen_…`` is what was there at ``seen_at``; once every transaction that was open then has ended
    (``seen_xid``), nothing below it can still appear, and it may be folded.
    """

    ledger_id = models.BigIntegerField(default=0)
    rating_id = models.BigIntegerField(default=0)
    job_entry_id = models.BigIntegerField(default=0)
    removal_id = models.BigIntegerField(default=0)
    seen_ledger_id = models.BigIntegerField(default=0)
    seen_rating_id = models.BigIntegerField(default=0)
    seen_removal_id = models.BigIntegerField(default=0)
    seen_xid = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return str(self.ledger_id)


class JobRating(CompanyOwned):
    """What a person thinks of a job's result: one row per person and job, which they may change."""

    points_to: ClassVar[dict[str, str]] = {"job_id": "ai_core.AIJob"}

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

    points_to: ClassVar[dict[str, str]] = {"job_id": "ai_core.AIJob"}

    job_id = models.BigIntegerField()
    tenths = models.SmallIntegerField()
    ratings = models.SmallIntegerField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.tenths / 10} {self.job_id}"
