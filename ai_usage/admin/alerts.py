"""Alerts and the companies' own thresholds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from ai_usage.domain.alerts import DEFAULTS
from ai_usage.models import AIUsageAlert, AlertRule
from megahub.kernel import clock
from megahub.kernel.admin import HubAdmin, Kept

OF_COMPANY = ("company", AutocompleteSelectFilter)
#: Labels' colours in lists, by value.
SEVERITIES = {"info": "info", "warning": "warning", "critical": "danger"}


@admin.register(AIUsageAlert)
class AIUsageAlertAdmin(Kept, HubAdmin):
    """What the hub found worth telling; people resolve it, and that is all."""

    names = (_("alert"), _("alerts"))
    list_display = "created_at company severity_shown alert_type subject message is_resolved".split()
    list_filter = (OF_COMPANY, "alert_type", "severity", "is_resolved", "sandbox")
    list_select_related = ("company",)
    search_fields = ("subject", "message")
    facts = (
        "company alert_type severity provider_name subject window_start threshold_value current_value"
        " message sandbox created_at email_sent email_sent_at"
    ).split()
    resolution = ("is_resolved", "resolution_note", "resolved_at")
    fieldsets = ((None, {"fields": facts}), (_("Resolution"), {"fields": resolution}))
    readonly_fields = (*facts, "resolved_at")
    actions = ("resolve",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AIUsageAlert | None = None) -> bool:
        open_still = obj is None or not obj.is_resolved
        return open_still and bool(super().has_change_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: AIUsageAlert, form: Any, change: bool) -> None:
        if obj.is_resolved:
            obj.resolved_at = clock.now()
        super().save_model(request, obj, form, change)

    @display(description=_("severity"), label=SEVERITIES)
    def severity_shown(self, alert: AIUsageAlert) -> tuple[str, str]:
        return alert.severity, alert.get_severity_display()

    @action(description=_("Resolve"), permissions=("act",))
    def resolve(self, request: HttpRequest, rows: QuerySet[AIUsageAlert]) -> None:
        opened = list(rows.filter(is_resolved=False))
        alerts = AIUsageAlert.objects.unscoped().filter(pk__in=[alert.pk for alert in opened])
        with transaction.atomic():
            alerts.filter(is_resolved=False).update(is_resolved=True, resolved_at=clock.now())
            for alert in opened:
                self.log_change(request, alert, "Resolved.")
        self.message_user(request, ngettext("%d resolved.", "%d resolved.", len(opened)) % len(opened))


class AlertRuleForm(forms.ModelForm):
    """Only types that have a threshold can have another one."""

    class Meta:
        model = AlertRule
        fields = ("company", "alert_type", "threshold", "is_active")
        help_texts = {
            "threshold": _(
                "A share (0.8 is 80 %) of a quota, a budget or the jobs; a multiple of the mean; seconds."
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "alert_type" in self.fields:
            kinds = [choice for choice in AIUsageAlert.AlertType.choices if choice[0] in DEFAULTS]
            self.fields["alert_type"].widget.choices = kinds


@admin.register(AlertRule)
class AlertRuleAdmin(HubAdmin):
    """Thresholds of a company's own; without one the default holds."""

    names = (_("alert threshold"), _("alert thresholds"))
    form = AlertRuleForm
    list_display = ("company", "alert_type", "threshold", "default", "is_active", "updated_at")
    list_filter = (OF_COMPANY, "alert_type", "is_active")
    list_select_related = ("company",)
    search_fields = ("company__name",)
    autocomplete_fields = ("company",)

    def get_readonly_fields(self, request: HttpRequest, obj: AlertRule | None = None) -> tuple[str, ...]:
        return () if obj is None else ("company", "alert_type")

    @display(description=_("default"))
    def default(self, rule: AlertRule) -> str:
        default = DEFAULTS.get(rule.alert_type)
        return "" if default is None else f"{default.normalize():f}"
