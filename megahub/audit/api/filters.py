"""Filters of ``/api/ai/security/audit``."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import QuerySet

from megahub.audit.models import AuditEntry
from megahub.kernel.filters import Moment, MomentField, Whole


class DayOrMomentField(MomentField):
    """A day (YYYY-MM-DD, in UTC) or a moment; ``ends`` takes a day's last moment instead of its first."""

    def __init__(self, *args: Any, ends: bool = False, **kwargs: Any) -> None:
        self.ends = ends
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> datetime | None:
        if isinstance(value, str) and len(value.strip()) == len("2026-11-26"):
            try:
                day = date.fromisoformat(value.strip())
                first = datetime.combine(day, time(), UTC)
                return first + timedelta(days=1, microseconds=-1) if self.ends else first
            except (ValueError, OverflowError) as error:
                raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error
        return super().to_python(value)


class DayOrMoment(Moment):
    field_class = DayOrMomentField


class TrailFilters(filters.FilterSet):
    date_from = DayOrMoment(field_name="at", lookup_expr="gte")
    date_to = DayOrMoment(field_name="at", lookup_expr="lte", ends=True)
    user_id = filters.CharFilter(method="by_user", label="A person's number or name.")
    api_key_id = Whole()
    actor_kind = filters.ChoiceFilter(choices=AuditEntry.ActorKind.choices)
    action = filters.CharFilter(method="by_action", label="An action, or its beginning (`webhook.`).")
    object_type = filters.CharFilter()
    object_id = filters.CharFilter()
    request_id = filters.CharFilter()
    ip = filters.CharFilter()

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = ()

    def by_user(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        if value.isascii() and value.isdecimal() and len(value) <= 18:
            return rows.filter(actor_id=int(value))
        return rows.filter(actor_name=value)

    def by_action(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        return rows.filter(action__startswith=value) if value.endswith(".") else rows.filter(action=value)
