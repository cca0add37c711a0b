"""Files, batches of requests made of them, and their lines."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ai_core.models import NO_KEY
from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned


class StoredFile(CompanyOwned):
    """A file of a company: its row; the content lies in Django's storage under ``name``.

    ``deleted_at``: its owner knows it no longer. The content goes once no batch reads it any more
    (``removed_at``).
    """

    file_id = models.CharField(max_length=40, unique=True)
    brand = models.ForeignKey("tenancy.Brand", on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **NO_KEY
    )
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=20)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)

    class Meta(CompanyOwned.Meta):
        verbose_name = _("file")
        verbose_name_plural = _("files")
        indexes = [
            models.Index(fields=["brand", "-created_at", "-id"], name="file_by_brand"),
            models.Index(fields=["expires_at"], condition=Q(removed_at=None), name="file_until"),
        ]

    def __str__(self) -> str:
        return f"{self.file_id} {self.filename}"


class BatchSchedule(CompanyOwned):
    """A batch that comes again: ``template`` is its file, in which the day's words are put in.

    ``next_at`` moves by compare-and-swap with the batch that is made; None while it is paused.
    """

    audited = ("schedule_id", "name", "cron", "timezone", "next_at", "deleted_at")

    schedule_id = models.CharField(max_length=40, unique=True)
    brand = models.ForeignKey("tenancy.Brand", on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **NO_KEY
    )
    name = models.CharField(max_length=120)
    cron = models.CharField(max_length=120)
    timezone = models.CharField(max_length=64, default="UTC")
    template = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="+")
    fields = models.JSONField(default=dict)
    next_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    deleted_at = models.DateTimeField(null=True)

    class Meta(CompanyOwned.Meta):
        verbose_name = _("recurring batch")
        verbose_name_plural = _("recurring batches")
        indexes = [
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="schedule_due")
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.name}"


class Batch(CompanyOwned):
    """A file of requests on its way. ``status`` moves only by compare-and-swap (services/).

    ``checkpoint_line`` and ``checkpoint_byte``: how far its file has been read into lines. The budgets'
    windows in ``windows`` (``[budget id, start, unit]``) hold the estimates of the lines that have not
    ended, of the first ``reserved_slices`` slices; a line that has ended holds nothing by construction.
    ``provider_round`` counts how often lines were handed to the provider again; such lines have as many
    ``tries``; ``provider_completed`` and ``provider_failed`` are how many it said to have ended when it was
    asked last, with those of earlier rounds. ``mail_due``: it failed in the journal, which writes no mail.
    ``stop`` says why no more lines are begun. Whoever validates or finishes it keeps
    ``lease_until`` in the future. The counters are written with each line's end.
    """

    class Status(models.TextChoices):
        VALIDATING = "validating", _("Validating")
        FAILED = "failed", _("Failed")
        IN_PROGRESS = "in_progress", _("In progress")
        FINALIZING = "finalizing", _("Finalizing")
        COMPLETED = "completed", _("Completed")
        EXPIRED = "expired", _("Expired")
        CANCELLING = "cancelling", _("Cancelling")
        CANCELLED = "cancelled", _("Cancelled")

    class Engine(models.TextChoices):
        AUTO = "auto", _("Automatic")
        PROVIDER = "provider", _("The provider's batch API")
        HUB = "hub", _("The hub's workers")

    batch_id = models.CharField(max_length=40, unique=True)
    brand = models.ForeignKey("tenancy.Brand", on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **NO_KEY
    )
    api_key = models.ForeignKey(
        "tenancy.ApiKey", null=True, on_delete=models.DO_NOTHING, related_name="+", **NO_KEY
    )
    endpoint = models.CharField(max_length=40)
    completion_window = models.CharField(max_length=8, default="24h")
    metadata = models.JSONField(null=True)
    file_asked = models.CharField(max_length=80)
    input_file = models.ForeignKey(StoredFile, null=True, on_delete=models.PROTECT, related_name="+")
    output_file = models.ForeignKey(StoredFile, null=True, on_delete=models.PROTECT, related_name="+")
    error_file = models.ForeignKey(StoredFile, null=True, on_delete=models.PROTECT, related_name="+")
    output_expires_seconds = models.PositiveIntegerField(null=True)
    engine_asked = models.CharField(max_length=8, choices=Engine.choices, default=Engine.AUTO)
    engine = models.CharField(max_length=8, blank=True)
    model = models.CharField(max_length=120, blank=True)
    provider = models.CharField(max_length=40, blank=True)
    generation = models.CharField(max_length=6, blank=True)
    sandbox = models.BooleanField(default=False)
    max_attempts = models.PositiveSmallIntegerField(default=4)
    backoff_seconds = models.PositiveIntegerField(default=1)
    notify = models.BooleanField(default=False)
    mail_due = models.BooleanField(default=False, db_default=False)
    schedule = models.ForeignKey(
        BatchSchedule, null=True, on_delete=models.SET_NULL, related_name="batches"
    )
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries")

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.VALIDATING)
    stop = models.CharField(max_length=10, blank=True)
    errors = models.JSONField(default=list)
    error_count = models.PositiveIntegerField(default=0)
    checkpoint_line = models.PositiveIntegerField(default=0)
    checkpoint_byte = models.BigIntegerField(default=0)
    windows = models.JSONField(default=list)
    reserved_slices = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    ring_at = models.DateTimeField(null=True)
    told_percent = models.PositiveSmallIntegerField(default=0)

    total = models.PositiveIntegerField(default=0)
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost_nano_usd = models.BigIntegerField(default=0)
    unpriced = models.PositiveIntegerField(default=0)
    estimated_nano_usd = models.BigIntegerField(default=0)
    estimated_tokens = models.BigIntegerField(default=0)

    provider_file_id = models.CharField(max_length=120, blank=True)
    provider_batch_id = models.CharField(max_length=120, blank=True)
    provider_status = models.CharField(max_length=20, blank=True)
    poll_at = models.DateTimeField(null=True)
    polls = models.PositiveIntegerField(default=0)
    provider_round = models.PositiveSmallIntegerField(default=0)
    provider_completed = models.PositiveIntegerField(default=0, db_default=0)
    provider_failed = models.PositiveIntegerField(default=0, db_default=0)

    created_at = models.DateTimeField(default=clock.now)
    in_progress_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    finalizing_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)
    cancelling_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta(CompanyOwned.Meta):
        verbose_name = _("batch of a file")
        verbose_name_plural = _("batches of files")
        indexes = [
            models.Index(fields=["brand", "-created_at", "-id"], name="filebatch_by_brand"),
            models.Index(fields=["ring_at"], condition=Q(ring_at__isnull=False), name="filebatch_waiting"),
            models.Index(fields=["id"], condition=Q(mail_due=True), name="filebatch_mail_due"),
        ]

    def __str__(self) -> str:
        return self.batch_id

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self.status in OVER

    @property
    def ended_so_far(self) -> tuple[int, int]:
        """(completed, failed): settled here or, while its provider runs it, told to have ended there."""
        if self.is_over or self.engine != "provider":
            return self.completed, self.failed
        completed = min(self.total, max(self.completed, self.provider_completed))
        return completed, min(self.total - completed, max(self.failed, self.provider_failed))

    @property
    def has_results(self) -> bool:
        """Whether what has ended can be read: a provider's batch API tells no results before its end."""
        return self.is_over or self.engine != "provider" or self.completed + self.failed > 0


OVER = frozenset(("failed", "completed", "expired", "cancelled"))


class Line(models.Model):
    """A request of a batch: where it lies in the file, what it may cost, and how it ended.

    ``attempt_no`` is the fence: a settlement that carries an older one changes nothing. ``tries``
    counts the attempts that failed, ``unknown`` those whose outcome is not known.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        RUNNING = "running", _("Running")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")
        EXPIRED = "expired", _("Expired")
        CANCELLED = "cancelled", _("Cancelled")

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="lines", **NO_KEY)
    line_no = models.PositiveIntegerField()
    custom_id = models.CharField(max_length=512)
    offset = models.BigIntegerField()
    length = models.PositiveIntegerField()
    slice_no = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempt_no = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    unknown = models.PositiveSmallIntegerField(default=0)
    session_id = models.BigIntegerField(null=True)
    run_at = models.DateTimeField(null=True)
    estimated_nano_usd = models.BigIntegerField()
    estimated_tokens = models.BigIntegerField()
    status_code = models.PositiveSmallIntegerField(null=True)
    error_code = models.CharField(max_length=60, null=True)
    input_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost_nano_usd = models.BigIntegerField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "line_no"], name="one_line_per_number"),
            models.UniqueConstraint(fields=["batch", "custom_id"], name="one_line_per_custom_id"),
        ]
        indexes = [
            models.Index(fields=["batch", "line_no"], condition=Q(status="pending"), name="line_pending"),
            models.Index(fields=["session_id"], condition=Q(status="running"), name="line_running"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}:{self.line_no}"


class LineResult(models.Model):
    """What is written of a line in the output file or in the error file, until the file is made."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="results", **NO_KEY)
    line_no = models.PositiveIntegerField()
    is_error = models.BooleanField()
    body = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "line_no"], name="one_result_per_line"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}:{self.line_no}"


def of_brand(rows: models.QuerySet[Any], brand_id: int) -> models.QuerySet[Any]:
    """The rows of one brand, the newest first."""
    return rows.filter(brand_id=brand_id).order_by("-created_at", "-pk")
