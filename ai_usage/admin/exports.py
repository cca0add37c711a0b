"""Exports and their schedules: looked at and paused here, made over the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.decorators import action, display

from ai_usage.models import Export, ExportSchedule
from ai_usage.services import schedules
from megahub.kernel.admin import GrowingAdmin, ReadOnlyAdmin, document, usd

OF_COMPANY = ("company", AutocompleteSelectFilter)
STATES = {
    "pending": "info",
    "running": "info",
    "ready": "success",
    "failed": "danger",
    "expired": "warning",
}


@admin.register(Export)
class ExportAdmin(GrowingAdmin):
    """Files of usage that companies asked for; what is in them is for the company alone."""

    names = (_("export"), _("exports"))
    list_display = "created_at company format state_shown progress row_count cost schedule error".split()
    list_filter = (OF_COMPANY, "state", "format", ("created_at", RangeDateTimeFilter))
    list_select_related = ("company", "schedule")
    search_fields = ("uid",)
    fields = (
        "uid company schedule period_start period_end format filters_shown brand_ids sandbox recipients"
        " created_by state progress row_count expected_rows total_tokens cost unpriced size sha256"
        " error attempt lease_until created_at started_at finished_at expires_at"
    ).split()
    readonly_fields = ("progress", "cost", "filters_shown")

    @display(description=_("state"), label=STATES)
    def state_shown(self, row: Export) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description=_("progress"))
    def progress(self, row: Export) -> str:
        return f"{row.progress_percentage} %"

    @display(description=_("cost"))
    def cost(self, row: Export) -> str | None:
        return usd(row.total_nano)

    @display(description=_("filters"))
    def filters_shown(self, row: Export) -> Any:
        return document(row.filters)


@admin.register(ExportSchedule)
class ExportScheduleAdmin(ReadOnlyAdmin):
    """What is exported again and again; an operator may pause it."""

    names = (_("export schedule"), _("export schedules"))
    list_display = "name company period hour format delivery is_paused next_run".split()
    list_filter = (OF_COMPANY, "period", "delivery", "is_paused")
    list_select_related = ("company",)
    search_fields = ("name", "company__name")
    fields = (
        "name company period hour format filters_shown brand_ids sandbox delivery recipients is_paused"
        " next_start next_run created_by created_at"
    ).split()
    readonly_fields = ("next_run", "filters_shown")
    actions = ("pause", "resume")

    @display(description=_("next run"))
    def next_run(self, row: ExportSchedule) -> Any:
        return schedules.next_run(row)

    @display(description=_("filters"))
    def filters_shown(self, row: ExportSchedule) -> Any:
        return document(row.filters)

    @action(description=_("Pause"), permissions=("act",))
    def pause(self, request: HttpRequest, rows: QuerySet[ExportSchedule]) -> None:
        self._set(request, rows, is_paused=True)

    @action(description=_("Let go on"), permissions=("act",))
    def resume(self, request: HttpRequest, rows: QuerySet[ExportSchedule]) -> None:
        self._set(request, rows, is_paused=False)

    def _set(self, request: HttpRequest, rows: QuerySet[ExportSchedule], *, is_paused: bool) -> None:
        changed = list(rows.select_related("company").exclude(is_paused=is_paused))
        for row in changed:
            schedules.change(row, {"is_paused": is_paused})
            self.log_change(request, row, "Paused." if is_paused else "Resumed.")
        text = ngettext("%d changed.", "%d changed.", len(changed)) % len(changed)
        self.message_user(request, text)
