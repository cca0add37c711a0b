"""Shapes of ``/ai/usage/exports/`` and ``/ai/usage/export-schedules/``."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.reverse import reverse

from ai_usage.domain.exports import NAMES
from ai_usage.models import Export, ExportSchedule
from ai_usage.selectors import exporting
from ai_usage.selectors.listing import UsageFilters
from ai_usage.services import export_news, schedules
from megahub.kernel import clock, money
from megahub.kernel.shapes import Strict
from megahub.kernel.text import Text

#: Filters that a schedule chooses by fields of its own.
ELSEWHERE = frozenset(("created_at__gte", "created_at__lte", "sandbox", "ai_job__brand"))
MOST_RECIPIENTS = 20


class ExportMail(serializers.Serializer[Any]):
    to = serializers.EmailField()
    state = serializers.ChoiceField(choices=["pending", "sent", "failed"])
    attempts = serializers.IntegerField()
    error = serializers.CharField()
    sent_at = serializers.CharField(allow_null=True)


class ExportShape(serializers.Serializer[Any]):
    """An export: how far it is; once ready its sums, which are those of the ledger's rows in it."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Export.State.choices)
    format = serializers.CharField()
    filters = serializers.DictField(child=serializers.CharField())
    sandbox = serializers.BooleanField()
    schedule_id = serializers.IntegerField(allow_null=True)
    period_start = serializers.CharField(allow_null=True)
    period_end = serializers.CharField(allow_null=True)
    progress_percentage = serializers.IntegerField()
    rows = serializers.IntegerField()
    expected_rows = serializers.IntegerField(allow_null=True)
    total_tokens = serializers.IntegerField(allow_null=True)
    total_cost_usd = serializers.CharField(allow_null=True)
    unpriced = serializers.IntegerField(allow_null=True)
    bytes = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    error = serializers.CharField(allow_null=True)
    mails = ExportMail(many=True)
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.CharField()
    started_at = serializers.CharField(allow_null=True)
    finished_at = serializers.CharField(allow_null=True)
    expires_at = serializers.CharField(allow_null=True)
    url = serializers.URLField()
    download_url = serializers.URLField(allow_null=True)


class ExportAccepted(serializers.Serializer[Any]):
    message = serializers.CharField()
    export = ExportShape()


class ExportTrailer(serializers.Serializer[Any]):
    """What the file beside an export says of it."""

    name = serializers.CharField()
    rows = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    total_cost_usd = serializers.CharField()
    unpriced = serializers.IntegerField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    filters = serializers.DictField(child=serializers.CharField())
    last_entry = serializers.IntegerField()
    created_at = serializers.CharField()


def shown(request: Request, found: list[Export]) -> list[dict[str, Any]]:
    """Exports as they are answered, with the e-mails about them."""
    mails: dict[str, Any] = {}
    if found:
        about = [export_news.about_of(export) for export in found]
        mails = exporting.mails_about(found[0].company_id, about)
    return [_shown(request, export, mails.get(export_news.about_of(export), [])) for export in found]


def _shown(request: Request, export: Export, mails: list[Any]) -> dict[str, Any]:
    is_ready = export.state == "ready"
    own = {"pk": export.pk}
    return {
        **{name: getattr(export, name) for name in ("id", "state", "format", "filters", "sandbox")},
        **{name: getattr(export, name) for name in ("schedule_id", "progress_percentage")},
        "rows": export.row_count,
        **{name: getattr(export, name) for name in ("expected_rows", "total_tokens", "unpriced", "name")},
        "period_start": _text(export.period_start),
        "period_end": _text(export.period_end),
        "total_cost_usd": None if export.total_nano is None else money.exact(export.total_nano),
        "bytes": export.size,
        "sha256": export.sha256 or None,
        "error": export.error or None,
        "mails": [
            {"to": mail.to, "state": mail.state, "attempts": mail.attempt, "error": mail.error}
            | {"sent_at": clock.iso(mail.sent_at)}
            for mail in mails
        ],
        "created_by": export.created_by.username if export.created_by else None,
        **{name: clock.iso(getattr(export, name)) for name in ("created_at", "started_at")},
        **{name: clock.iso(getattr(export, name)) for name in ("finished_at", "expires_at")},
        "url": reverse("usage-export-detail", kwargs=own, request=request),
        "download_url": reverse("usage-export-download", kwargs=own, request=request) if is_ready else None,
    }


def trailer(export: Export) -> dict[str, Any]:
    """The trailer of a ready export."""
    return {
        "name": export.name,
        "rows": export.row_count,
        "total_tokens": export.total_tokens,
        "total_cost_usd": money.exact(export.total_nano or 0),
        "unpriced": export.unpriced,
        "bytes": export.size,
        "sha256": export.sha256,
        "columns": list(NAMES),
        "filters": export.filters,
        "last_entry": export.last_entry,
        "created_at": clock.iso(export.created_at),
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


class ScheduleShape(serializers.ModelSerializer[ExportSchedule]):
    """A schedule; ``next_run_at`` is null while it is paused, ``brand_id`` when it is of all brands."""

    brand_id = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    next_run_at = serializers.SerializerMethodField()

    class Meta:
        model = ExportSchedule
        fields = (
            *("id", "name", "period", "hour", "format", "filters", "brand_id", "sandbox", "delivery"),
            *("recipients", "is_paused", "next_start", "next_run_at", "created_by", "created_at"),
        )

    def get_brand_id(self, row: ExportSchedule) -> int | None:
        return row.brand_ids[0] if row.brand_ids and len(row.brand_ids) == 1 else None

    def get_next_run_at(self, row: ExportSchedule) -> str | None:
        return clock.iso(schedules.next_run(row))


class ChangedSchedule(Strict):
    """What is absent stays."""

    name = serializers.CharField(max_length=120, required=False)
    period = serializers.ChoiceField(choices=ExportSchedule.Period.choices, required=False)
    hour = serializers.IntegerField(min_value=0, max_value=23, required=False)
    format = serializers.ChoiceField(choices=["csv", "jsonl", "xlsx"], required=False)
    filters = serializers.DictField(child=serializers.CharField(max_length=2000), required=False)
    delivery = serializers.ChoiceField(choices=ExportSchedule.Delivery.choices, required=False)
    recipients = serializers.ListField(
        child=serializers.EmailField(), max_length=MOST_RECIPIENTS, required=False
    )
    is_paused = serializers.BooleanField(required=False)

    def validate_filters(self, asked: dict[str, str]) -> dict[str, str]:
        """Raises ValidationError for what the list's filters refuse."""
        known = sorted(set(UsageFilters.base_filters) - ELSEWHERE)
        unknown = sorted(set(asked) - set(known))
        if unknown:
            text = Text("Unknown filters: {names}. Known are: {known}.", names=unknown, known=known)
            raise serializers.ValidationError({unknown[0]: [text]})
        checked = UsageFilters(asked, None)
        if not checked.form.is_valid():
            raise serializers.ValidationError(
                {name: [str(text) for text in texts] for name, texts in checked.form.errors.items()}
            )
        return asked

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = self.context.get("schedule")
        delivery = attrs.get("delivery", row.delivery if row else None)
        recipients = attrs.get("recipients", row.recipients if row else [])
        if delivery == "email" and not recipients:
            raise serializers.ValidationError({"recipients": [Text("Name at least one address.")]})
        return attrs


class NewSchedule(ChangedSchedule):
    """Of all brands that the caller may enter, or of one; played or real usage, as the company's."""

    name = serializers.CharField(max_length=120)
    period = serializers.ChoiceField(choices=ExportSchedule.Period.choices)
    hour = serializers.IntegerField(min_value=0, max_value=23, default=6)
    format = serializers.ChoiceField(choices=["csv", "jsonl", "xlsx"], default="csv")
    filters = serializers.DictField(child=serializers.CharField(max_length=2000), default=dict)
    delivery = serializers.ChoiceField(choices=ExportSchedule.Delivery.choices)
    recipients = serializers.ListField(
        child=serializers.EmailField(), max_length=MOST_RECIPIENTS, default=list
    )
    is_paused = serializers.BooleanField(default=False)
    brand_id = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, required=False, allow_null=True, default=None
    )
    sandbox = serializers.BooleanField(required=False, allow_null=True, default=None)
