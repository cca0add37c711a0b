"""Uploaded files, batches made of them and recurring batches: pages to look; content is the company's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter
from unfold.decorators import display

from ai_batch.models import Batch, BatchSchedule, StoredFile
from megahub.kernel.admin import GrowingAdmin, document, link, page, usd

OF_COMPANY = ("company", AutocompleteSelectFilter)
#: Labels' colours in lists, by value.
STATUSES = {
    "validating": "info", "in_progress": "primary", "finalizing": "primary", "completed": "success",
    "failed": "danger", "expired": "danger", "cancelling": "warning", "cancelled": "warning",
}  # fmt: skip


@admin.register(StoredFile)
class StoredFileAdmin(GrowingAdmin):
    """Files that were uploaded or made; never what is in them."""

    names = (_("file"), _("files"))
    list_display = "created_at company file_id filename purpose bytes expires_at deleted_at".split()
    list_filter = (OF_COMPANY, "purpose", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("company",)
    search_fields = ("file_id", "filename")
    fields = (
        "file_id company brand created_by filename purpose bytes sha256 created_at expires_at deleted_at"
        " removed_at"
    ).split()


@admin.register(Batch)
class BatchAdmin(GrowingAdmin):
    """Batches of files: how far they are, what they cost, why they failed."""

    names = (_("batch of a file"), _("batches of files"))
    list_display = "created_at company batch_id model status_shown progress cost engine schedule".split()
    list_filter = (OF_COMPANY, "status", "engine", "sandbox", ("created_at", RangeDateTimeFilter))
    list_select_related = ("company", "schedule")
    list_deferred = ("errors", "windows", "metadata")
    search_fields = ("batch_id", "file_asked")
    fieldsets = (
        (None, {"fields": (
            ("batch_id", "status_shown"), ("company", "brand"), ("created_by", "endpoint"),
            ("model", "provider"), ("engine_asked", "engine"), ("sandbox", "schedule"),
            ("progress", "cost"),
        )}),
        (_("Files"), {"classes": ["tab"], "fields": ("input_link", "output_link", "error_link")}),
        (_("Course"), {"classes": ["tab"], "fields": (
            ("created_at", "in_progress_at"), ("finalizing_at", "completed_at"),
            ("failed_at", "expired_at"), ("cancelling_at", "cancelled_at"), ("expires_at", "parent"),
            ("provider_batch_id", "provider_status"),
        )}),
        (_("Errors"), {"classes": ["tab"], "fields": ("error_count", "errors_shown")}),
    )  # fmt: skip
    readonly_fields = (
        "status_shown",
        "progress",
        "cost",
        "input_link",
        "output_link",
        "error_link",
        "errors_shown",
    )

    @display(description=_("status"), label=STATUSES)
    def status_shown(self, batch: Batch) -> tuple[str, str]:
        return batch.status, batch.get_status_display()

    @display(description=_("completed + failed / all"))
    def progress(self, batch: Batch) -> str:
        return f"{batch.completed} + {batch.failed} / {batch.total}"

    @display(description=_("cost"), ordering="cost_nano_usd")
    def cost(self, batch: Batch) -> str | None:
        return usd(batch.cost_nano_usd)

    @display(description=_("input file"))
    def input_link(self, batch: Batch) -> Any:
        return _file(batch.input_file)

    @display(description=_("output file"))
    def output_link(self, batch: Batch) -> Any:
        return _file(batch.output_file)

    @display(description=_("error file"))
    def error_link(self, batch: Batch) -> Any:
        return _file(batch.error_file)

    @display(description=_("errors"))
    def errors_shown(self, batch: Batch) -> Any:
        return document(batch.errors or None)


def _file(file: StoredFile | None) -> Any:
    return link(page(StoredFile, file.pk), file) if file is not None else None


@admin.register(BatchSchedule)
class BatchScheduleAdmin(GrowingAdmin):
    """Batches that come again: when, and how the last one went."""

    names = (_("recurring batch"), _("recurring batches"))
    list_display = "name company brand_name cron timezone next_at last_at last_error deleted_at".split()
    list_filter = (OF_COMPANY, ("next_at", admin.EmptyFieldListFilter))
    list_select_related = ("company",)
    search_fields = ("schedule_id", "name", "company__name")
    fields = (
        "schedule_id company brand_name created_by name cron timezone template_link next_at last_at"
        " last_error created_at deleted_at"
    ).split()
    readonly_fields = ("brand_name", "template_link")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BatchSchedule]:
        rows: QuerySet[BatchSchedule] = super().get_queryset(request)
        return rows.annotate(its_brand=F("brand__name"))

    @display(description=_("brand"))
    def brand_name(self, row: Any) -> str:
        return str(row.its_brand)

    @display(description=_("template"))
    def template_link(self, row: BatchSchedule) -> Any:
        return _file(row.template)
