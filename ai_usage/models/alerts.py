"""Alerts and the thresholds that raise them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from megahub.kernel import clock
from megahub.tenancy.scoping import CompanyOwned


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
        LEDGER_OFF = "ledger_off", _("The ledger differs")
        AUDIT_BROKEN = "audit_broken", _("Audit trail not whole")
        ROLLUP_OFF = "rollup_off", _("The figures differ from the ledger")
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

    audited = ("alert_type", "subject", "message", "severity", "is_resolved", "resolution_note")

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

    audited = ("alert_type", "threshold", "is_active")

    class Meta(CompanyOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["company", "alert_type"], name="one_rule_per_type"),
            models.CheckConstraint(condition=Q(threshold__gt=0), name="threshold_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.get_alert_type_display()}: {self.threshold.normalize():f}"
