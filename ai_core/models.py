"""Jobs, their attempts, and the processes that run them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned

#: References written on the hot lane to rows that a cache vouches for: a key would cost a lookup each,
#: and would fail a request whose API key or session was deleted a moment ago.
NO_KEY: dict[str, Any] = {"db_index": False, "db_constraint": False}


class AIJobType(models.Model):
    """What a job does; ``domain/kinds.py`` knows how it is run."""

    class Category(models.TextChoices):
        CHAT = "chat", _("Chat")
        ASSISTANT = "assistant", _("Assistant")
        UPLOAD = "upload", _("Upload")
        ANALYSIS = "analysis", _("Analysis")
        GENERATION = "generation", _("Generation")
        EMBEDDINGS = "embeddings", _("Embeddings")

    name = models.CharField(max_length=60, unique=True)
    description = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=12, choices=Category.choices)
    estimated_duration_seconds = models.PositiveIntegerField(default=10)
    requires_async = models.BooleanField(default=False)

    audited = ("name", "description", "category", "estimated_duration_seconds", "requires_async")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AIJob(CompanyOwned):
    """A piece of work: the row is written before anything is sent, and is the queue.

    ``status`` moves only by compare-and-swap (ai_core/services/); ``revision`` grows with every change
    and numbers the events that clients follow; ``attempt_no`` is the fence: a settlement that carries
    an older number changes nothing. ``input_data`` is what the client sent, ``params`` the parameters
    that were made of it (without the messages); ``response`` is what the provider answered, shaped
    like OpenAI's; ``error`` what it failed with (HubError.as_data). ``holds`` is what it has reserved
    of budget windows, given back when it ends (ai_usage/services/budgets.py). It may run from
    ``run_at`` on; while it waits, the relay rings for it from ``ring_at`` on.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        RUNNING = "running", _("Running")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        TIMEOUT = "timeout", _("Timed out")

    class Priority(models.TextChoices):
        LOW = "low", _("Low")
        NORMAL = "normal", _("Normal")
        HIGH = "high", _("High")
        URGENT = "urgent", _("Urgent")

    # Few indexes, and none on what changes while a job runs: on PostgreSQL its updates then touch no
    # index at all (HOT), which is a third of the hot lane's time (docs/performance.md).
    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    job_id = models.CharField(max_length=40)
    job_type = models.ForeignKey(AIJobType, on_delete=models.PROTECT, related_name="+", **NO_KEY)
    brand = models.ForeignKey("tenancy.Brand", on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **NO_KEY
    )
    api_key = models.ForeignKey(
        "tenancy.ApiKey", null=True, on_delete=models.DO_NOTHING, related_name="+", **NO_KEY
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    priority = models.CharField(max_length=6, choices=Priority.choices, default=Priority.NORMAL)
    description = models.TextField(blank=True)
    endpoint = models.CharField(max_length=12)
    model = models.CharField(max_length=120)
    provider = models.CharField(max_length=40)
    generation = models.CharField(max_length=6)
    sandbox = models.BooleanField(default=False)
    with_defaults = models.BooleanField(default=True)
    is_async = models.BooleanField(default=False)
    progress_percentage = models.PositiveSmallIntegerField(default=0)
    input_data = models.JSONField()
    params = models.JSONField(default=dict)
    holds = models.JSONField(default=list)
    response = models.JSONField(null=True)
    error = models.JSONField(null=True)
    warnings = models.JSONField(null=True)
    #: How much of its texts is kept (ai_guard/domain/keeping.py): "masked" or "none"; null is all of them.
    keep = models.CharField(max_length=6, null=True)
    #: From when on texts go that had to stay until it was run, and its answer fetched.
    forget_at = models.DateTimeField(null=True)
    #: Whom of the company's own users it was for: ``safety_identifier`` or ``user``.
    end_user = models.CharField(max_length=255, null=True)
    task_id = models.CharField(max_length=40, blank=True)
    revision = models.PositiveIntegerField(default=1)
    attempt_no = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=1)
    unknown_attempts = models.PositiveSmallIntegerField(default=0)
    run_at = models.DateTimeField(default=clock.now)
    ring_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    execution_time_ms = models.BigIntegerField(null=True)

    audited = ("job_id", "status", "priority", "model", "progress_percentage", "deleted_at")

    class Meta(CompanyOwned.Meta):
        verbose_name = _("AI job")
        constraints = [models.UniqueConstraint(fields=["job_id"], name="job_id_once")]
        indexes = [
            models.Index(fields=["brand", "-created_at", "-id"], name="job_by_brand"),
            models.Index(fields=["ring_at"], condition=Q(ring_at__isnull=False), name="job_waiting"),
            models.Index(
                fields=["company", "priority", "run_at", "id"],
                condition=Q(ring_at__isnull=False),
                name="job_turns",
            ),
            models.Index(fields=["forget_at"], condition=Q(forget_at__isnull=False), name="job_to_forget"),
            models.Index(
                fields=["company", "end_user"], condition=Q(end_user__isnull=False), name="job_by_end_user"
            ),
        ]

    def __str__(self) -> str:
        return self.job_id

    @property
    def job_ref(self) -> str:
        """Its public name, as everything that runs it calls it."""
        return self.job_id

    @property
    def reasoning_effort(self) -> str | None:
        """The effort that it was accepted with."""
        effort: str | None = self.params.get("reasoning_effort")
        return effort

    @property
    def execution_time_seconds(self) -> float | None:
        """Seconds in running, None before the end."""
        return None if self.execution_time_ms is None else self.execution_time_ms / 1000


class SearchBlock(CompanyOwned):
    """Jobs of a company with numbers from ``first_id`` to ``last_id``, and which runs their texts hold.

    Blocks of a company join without a gap. ``words`` is the length of the signature (domain/grams.py) in
    words of 32 bits, 0 while it is not known: then it is made from ``fill_at`` on. A trigger (migration
    0009) empties it when a text of one of its jobs changes or goes, and counts that in ``changes``.
    """

    company = models.ForeignKey(
        "tenancy.Company", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    jobs = models.PositiveIntegerField()
    words = models.PositiveIntegerField(default=0)
    signature = models.BinaryField(default=b"")
    changes = models.PositiveIntegerField(default=0)
    fill_at = models.DateTimeField(null=True, default=clock.now)

    class Meta(CompanyOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["company", "first_id"], name="one_block_per_number")]
        indexes = [
            models.Index(fields=["fill_at"], condition=Q(fill_at__isnull=False), name="block_to_fill")
        ]

    def __str__(self) -> str:
        return f"{self.first_id} {self.last_id}"


class SearchCursor(models.Model):
    """How far jobs have been put into blocks: one row.

    ``seen_…`` is what was there at ``seen_at``, ``safe_…`` what was there before any transaction began
    that is still open: no job's number can appear below it any more, and whoever changes a text sees its
    block.
    """

    tiled_job_id = models.BigIntegerField(default=0)
    safe_job_id = models.BigIntegerField(default=0)
    safe_block_id = models.BigIntegerField(default=0)
    seen_job_id = models.BigIntegerField(default=0)
    seen_block_id = models.BigIntegerField(default=0)
    seen_xid = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return str(self.tiled_job_id)


class WorkerSession(models.Model):
    """A process that runs jobs (web or worker), alive as long as it beats."""

    kind = models.CharField(max_length=10)
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=clock.now)
    beat_at = models.DateTimeField(default=clock.now, db_index=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"


class Attempt(models.Model):
    """One call to a provider, written before it is made.

    ``calling`` until it is known how it ended; ``unknown`` when that can no longer be known (the
    process died, the connection broke after sending); ``late`` when its process had been given up
    and answered after all, in which case its usage is kept here and changes nothing else.
    """

    class Phase(models.TextChoices):
        CALLING = "calling", _("Calling")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        UNKNOWN = "unknown", _("Unknown")
        LATE = "late", _("Late")

    job = models.ForeignKey(AIJob, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    attempt_no = models.PositiveSmallIntegerField()
    session = models.ForeignKey(
        WorkerSession, null=True, on_delete=models.DO_NOTHING, related_name="+", **NO_KEY
    )
    provider = models.CharField(max_length=40)
    source = models.CharField(max_length=8)
    phase = models.CharField(max_length=8, choices=Phase.choices, default=Phase.CALLING)
    provider_ref = models.CharField(max_length=120, null=True)
    error_code = models.CharField(max_length=40, null=True)
    usage = models.JSONField(null=True)
    first_byte_ms = models.BigIntegerField(null=True)
    started_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "attempt_no"], name="one_attempt_per_number")]
        indexes = [
            models.Index(fields=["started_at"], condition=Q(phase="calling"), name="attempt_calling")
        ]

    def __str__(self) -> str:
        words = {"number": self.attempt_no, "job": self.job_id}
        return gettext("attempt %(number)s of job %(job)s") % words


class ProviderGate(models.Model):
    """A way to a provider that is shut for now (ai_core/services/gates.py); no row means that it is open.

    ``key`` is ``source:owner|provider`` for a credential that was told to wait (429), and with
    ``|model`` for a way that failed too often: it stays shut until a probe is answered.
    """

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("circuit", "Interrupted")
        PROBED = "probed", _("Being tried")
        LIMITED = "limited", _("Told to wait")

    key = models.CharField(max_length=240, unique=True)
    state = models.CharField(max_length=8, choices=State.choices)
    shut_until = models.DateTimeField()
    hold_seconds = models.FloatField(default=0)
    shut_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("provider gate")
        verbose_name_plural = _("provider gates")

    def __str__(self) -> str:
        return self.key


class AIBatch(CompanyOwned):
    """Contents analysed together: one job each, all accepted in one transaction or none.

    ``estimated_nano_usd`` and ``estimated_tokens`` are the most that it might have used.
    """

    batch_id = models.CharField(max_length=40, unique=True)
    brand = models.ForeignKey("tenancy.Brand", on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **NO_KEY
    )
    analysis_type = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    sandbox = models.BooleanField(default=False)
    total_jobs = models.PositiveIntegerField()
    estimated_nano_usd = models.BigIntegerField()
    estimated_tokens = models.BigIntegerField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta(CompanyOwned.Meta):
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        indexes = [models.Index(fields=["brand", "-created_at"], name="batch_by_brand")]

    def __str__(self) -> str:
        return self.batch_id


class BatchJob(models.Model):
    """A job's place in its batch."""

    batch = models.ForeignKey(AIBatch, on_delete=models.CASCADE, related_name="jobs", db_index=False)
    job = models.OneToOneField(AIJob, on_delete=models.CASCADE, related_name="in_batch")
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "position"], name="one_job_per_position")]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.position}"
