"""Files of usage that are made in the background, and the schedules that ask for them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from ai_usage.domain import exports
from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned

FORMATS = [(name, name) for name in exports.CONTENT_TYPES]


class ExportSchedule(CompanyOwned):
    """Usage as a file for every day, week or month of the company's own, by e-mail or webhook.

    ``next_start`` is the first day of the period that is due next; a run moves it on by compare-and-swap
    in the transaction that writes its Export, which is unique by schedule and period besides.
    """

    class Period(models.TextChoices):
        DAILY = "daily", _("Daily")
        WEEKLY = "weekly", _("Weekly")
        MONTHLY = "monthly", _("Monthly")

    class Delivery(models.TextChoices):
        EMAIL = "email", _("E-mail")
        WEBHOOK = "webhook", _("Webhook")

    audited = (
        "name",
        "period",
        "hour",
        "format",
        "filters",
        "brand_ids",
        "sandbox",
        "delivery",
        "recipients",
        "is_paused",
    )

    name = models.CharField(max_length=120)
    period = models.CharField(max_length=7, choices=Period.choices)
    #: The hour of the day on which a period that has ended is exported, in the company's time zone.
    hour = models.PositiveSmallIntegerField(default=6)
    format = models.CharField(max_length=5, choices=FORMATS, default="csv")
    filters = models.JSONField(default=dict)
    brand_ids = models.JSONField(null=True)
    sandbox = models.BooleanField()
    delivery = models.CharField(max_length=7, choices=Delivery.choices)
    recipients = models.JSONField(default=list)
    is_paused = models.BooleanField(default=False)
    next_start = models.DateField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(CompanyOwned.Meta):
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(fields=["company", "name"], name="export_schedule_once"),
            models.CheckConstraint(condition=Q(hour__lte=23), name="export_schedule_hour"),
        ]

    def __str__(self) -> str:
        return self.name


class Export(CompanyOwned):
    """A file of usage: asked for, being made, ready until it expires.

    A maker claims it by compare-and-swap on ``attempt`` and keeps ``lease_until`` ahead; one that dies
    leaves a lease that runs out, and the file is made again. ``last_entry`` bounds the ledger's rows
    that are in it: none of them can still appear once every transaction that was open when it was
    asked for (``seen_xid``) has ended. The sums are those of the file's own rows.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        RUNNING = "running", _("Running")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")
        EXPIRED = "expired", _("Expired")

    audited = ("uid", "state", "format", "filters", "brand_ids", "sandbox", "period_start", "period_end")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    schedule = models.ForeignKey(
        ExportSchedule, null=True, on_delete=models.SET_NULL, related_name="exports"
    )
    period_start = models.DateField(null=True)
    period_end = models.DateField(null=True)
    format = models.CharField(max_length=5, choices=FORMATS)
    filters = models.JSONField(default=dict)
    brand_ids = models.JSONField(null=True)
    sandbox = models.BooleanField()
    timezone = models.CharField(max_length=64)
    recipients = models.JSONField(default=list)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING)
    last_entry = models.BigIntegerField(default=0)
    seen_xid = models.BigIntegerField(default=0)
    expected_rows = models.BigIntegerField(null=True)
    row_count = models.BigIntegerField(default=0)
    total_tokens = models.BigIntegerField(null=True)
    total_nano = models.BigIntegerField(null=True)
    unpriced = models.BigIntegerField(null=True)
    file = models.FileField(max_length=200, blank=True)
    size = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.CharField(max_length=200, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta(CompanyOwned.Meta):
        ordering = (F("id").desc(),)
        constraints = [
            models.UniqueConstraint(fields=["schedule", "period_start"], name="one_export_per_period")
        ]
        indexes = [
            models.Index(fields=["company", "-id"], name="export_by_company"),
            models.Index(fields=["id"], condition=Q(state__in=["pending", "running"]), name="export_open"),
        ]

    def __str__(self) -> str:
        return f"{self.format} {self.uid}"

    @property
    def name(self) -> str:
        """What the file is called where it is downloaded."""
        span = (
            f"{self.period_start}-{self.period_end}" if self.period_start else f"{self.created_at:%Y-%m-%d}"
        )
        return f"usage-{span}-{self.uid.hex[:8]}.{self.format}"

    @property
    def progress_percentage(self) -> int:
        """How much of it is written; 100 only when it is ready."""
        if self.state in ("ready", "expired"):
            return 100
        return min(99, 100 * self.row_count // self.expected_rows) if self.expected_rows else 0
