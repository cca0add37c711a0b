"""Shapes of ``/ai/alerts/``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext
from rest_framework import serializers

from ai_usage.models import AIUsageAlert
from ai_usage.services import alerts
from ai_usage.services.evaluation import GONE
from megahub.kernel.shapes import Strict


class AlertShape(serializers.ModelSerializer[AIUsageAlert]):
    """An alert. ``current_value`` passed ``threshold_value``; both are decimal strings."""

    message = serializers.SerializerMethodField()
    resolution_note = serializers.SerializerMethodField()
    company_name = serializers.CharField(source="company.name")

    class Meta:
        model = AIUsageAlert
        fields = (
            "id",
            "company",
            "company_name",
            "provider_name",
            "alert_type",
            "subject",
            "window_start",
            "threshold_value",
            "current_value",
            "message",
            "severity",
            "sandbox",
            "is_resolved",
            "resolved_at",
            "resolution_note",
            "email_sent",
            "email_sent_at",
            "created_at",
        )

    def get_message(self, alert: AIUsageAlert) -> str:
        return alerts.message_of(alert)

    def get_resolution_note(self, alert: AIUsageAlert) -> str:
        """What was noted; the hub's own note in the reader's language."""
        return gettext(GONE) if alert.resolution_note == GONE else alert.resolution_note


class ShortAlert(serializers.ModelSerializer[AIUsageAlert]):
    """An alert as the frontend's bell shows it."""

    type = serializers.CharField(source="alert_type")
    provider = serializers.CharField(source="provider_name")
    message = serializers.SerializerMethodField()

    class Meta:
        model = AIUsageAlert
        fields = ("id", "type", "provider", "message", "severity", "created_at")

    def get_message(self, alert: AIUsageAlert) -> str:
        return alerts.message_of(alert)


class NewAlert(Strict):
    """An alert that somebody makes; its type is ``manual``."""

    message = serializers.CharField(max_length=2000)
    alert_type = serializers.ChoiceField(choices=[("manual", "manual")], default="manual")
    severity = serializers.ChoiceField(choices=AIUsageAlert.Severity.choices, default="warning")
    provider_name = serializers.CharField(max_length=40, allow_blank=True, default="")
    threshold_value = serializers.DecimalField(
        max_digits=20, decimal_places=6, allow_null=True, default=None
    )
    current_value = serializers.DecimalField(max_digits=20, decimal_places=6, allow_null=True, default=None)


class Resolution(Strict):
    resolution_note = serializers.CharField(max_length=2000, allow_blank=True, default="")


class ResolvedAlert(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    is_resolved = serializers.BooleanField()
    resolved_at = serializers.DateTimeField(allow_null=True)


class Resolved(serializers.Serializer[Any]):
    message = serializers.CharField()
    alert = ResolvedAlert()


class Summary(serializers.Serializer[Any]):
    quota_warnings = serializers.IntegerField()
    cost_warnings = serializers.IntegerField()
    failure_alerts = serializers.IntegerField()


class Active(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    alerts = ShortAlert(many=True)
    summary = Summary()


class CheckedAlerts(serializers.Serializer[Any]):
    checks_performed = serializers.ListField(child=serializers.CharField())
    new_alerts_created = serializers.IntegerField()
    new_alerts_count = serializers.IntegerField()
    alerts = ShortAlert(many=True)
    new_alerts = ShortAlert(many=True)
    notifications_sent = serializers.IntegerField()


class RuleShape(serializers.Serializer[Any]):
    """A threshold in force: a share (quota, cost, failures), a multiple, or seconds."""

    alert_type = serializers.CharField()
    threshold = serializers.DecimalField(max_digits=20, decimal_places=6)
    default = serializers.DecimalField(max_digits=20, decimal_places=6)
    is_active = serializers.BooleanField()
    is_own = serializers.BooleanField()


LEAST = Decimal("0.000001")


class ChangedRule(Strict):
    threshold = serializers.DecimalField(max_digits=20, decimal_places=6, min_value=LEAST, required=False)
    is_active = serializers.BooleanField(required=False)
