"""Jobs, their attempts and the processes that run them: pages to look, and one thing to do: cancel."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateFilter
from unfold.decorators import action, display

from ai_core import pipeline
from ai_core.domain.states import ENDS
from ai_core.models import AIBatch, AIJob, AIJobType, Attempt, BatchJob, ProviderGate, WorkerSession
from ai_usage.admin.ledger import ModelFilter
from ai_usage.models import AIJobUsage, LedgerEntry
from ai_usage.services.repricing import TOKENS
from megahub.kernel import charts, clock, loop, trail
from megahub.kernel.admin import (
    GrowingAdmin,
    HubAdmin,
    Kept,
    ReadOnlyInline,
    after_dialog,
    document,
    link,
    page,
    table,
    usd,
)
from megahub.kernel.reasons import ReasonedDialog, reason_of

#: Labels' colours in lists, by value.
STATUSES = {
    "pending": "info", "running": "primary", "completed": "success", "failed": "danger",
    "timeout": "danger", "cancelled": "warning",
}  # fmt: skip
#: Of a job's timeline, by an attempt's phase.
BARS = {"calling": "cost", "done": "good", "failed": "bad", "unknown": "held"}
PHASES = {"calling": "primary", "done": "success", "failed": "danger", "unknown": "warning"}
#: What a list of jobs does not need, and what may be large.
DOCUMENTS = ("input_data", "params", "holds", "response", "error", "warnings")


@admin.register(AIJobType)
class AIJobTypeAdmin(Kept, HubAdmin):
    """What jobs do; which there are, the code says."""

    names = (_("job type"), _("job types"))
    list_display = ("name", "category", "description", "estimated_duration_seconds", "requires_async")
    list_filter = ("category", "requires_async")
    readonly_fields = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


def timeline_of(job: AIJob) -> Any:
    """A job's time from being accepted to its end: waiting, and each attempt."""
    end = job.completed_at or job.cancelled_at or clock.now()

    def row(name: Any, colour: str, start: datetime, until: datetime | None, word: Any) -> list[Any]:
        before, seconds = start - job.created_at, (until or end) - start
        title = f"{name}: {seconds.total_seconds():.2f} s"
        parts = [("none", before.total_seconds()), (colour, seconds.total_seconds())]
        bar = charts.bar(title, parts, (end - job.created_at).total_seconds())
        return [name, bar, f"{seconds.total_seconds():.2f} s", word]

    rows = [row(_("waiting"), "idle", job.created_at, job.started_at, "")]
    rows += [
        row(
            f"{attempt.attempt_no} · {attempt.provider}",
            BARS.get(attempt.phase, "held"),
            attempt.started_at,
            attempt.ended_at,
            attempt.error_code or attempt.get_phase_display(),
        )
        for attempt in job.attempts.order_by("attempt_no")
    ]
    return table([_("attempt"), _("course"), _("duration"), _("outcome")], rows)


class AttemptInline(ReadOnlyInline):
    """The calls to providers, in their order."""

    model = Attempt
    fields = "attempt_no provider source phase error_code started_at first_byte_ms ended_at".split()
    ordering = ("attempt_no",)


class UsageInline(ReadOnlyInline):
    """What a job used and cost."""

    model = AIJobUsage
    fields = "input_tokens cached_tokens output_tokens reasoning_tokens is_estimated cost".split()
    readonly_fields = ("cost",)
    verbose_name_plural = _("usage")

    @display(description=_("cost"))
    def cost(self, usage: AIJobUsage) -> str | None:
        return usd(usage.total_cost_nano_usd)


@admin.register(AIJob)
class AIJobAdmin(GrowingAdmin):
    """Jobs of every company."""

    names = (_("job"), _("jobs"))
    list_display = ("job_id created_at company model status_shown priority sandbox cost duration").split()
    list_filter = (
        ("company", AutocompleteSelectFilter), ModelFilter, "status", "priority", "sandbox",
    )  # fmt: skip
    list_select_related = ("company", "usage")
    list_deferred = DOCUMENTS
    date_hierarchy = "created_at"
    search_fields = ("job_id", "description")
    search_help_text = _("Job id or description")
    fieldsets = (
        (None, {"fields": (
            ("job_id", "status"), ("company", "brand"), ("created_by", "api_key"), ("model", "provider"),
            ("job_type", "endpoint"), ("priority", "description"), ("is_async", "sandbox"),
        )}),
        (_("Input"), {"classes": ["tab"], "fields": ("input_shown", "params_shown")}),
        (_("Result"), {"classes": ["tab"], "fields": ("response_shown", "error_shown", "warnings_shown")}),
        (_("Course"), {"classes": ["tab"], "fields": (
            "timeline", ("created_at", "run_at"), ("started_at", "completed_at"),
            ("cancel_requested_at", "cancelled_at"),
            ("deadline_at", "deleted_at"), ("duration", "revision"), ("attempt_no", "max_attempts"),
        )}),
        (_("Ledger"), {"classes": ["tab"], "fields": ("ledger", "holds_shown")}),
    )  # fmt: skip
    inlines = (AttemptInline, UsageInline)
    actions = ("cancel",)
    actions_detail = ("cancel_this",)

    @display(description=_("status"), label=STATUSES)
    def status_shown(self, job: AIJob) -> tuple[str, str]:
        return job.status, job.get_status_display()

    @display(description=_("cost"))
    def cost(self, job: AIJob) -> str | None:
        usage = getattr(job, "usage", None)
        return usd(usage.total_cost_nano_usd) if usage is not None else None

    @display(description=_("duration"), ordering="execution_time_ms")
    def duration(self, job: AIJob) -> str | None:
        seconds = job.execution_time_seconds
        return None if seconds is None else f"{seconds:.2f} s"

    @display(description=_("input"))
    def input_shown(self, job: AIJob) -> Any:
        return document(job.input_data)

    @display(description=_("parameters"))
    def params_shown(self, job: AIJob) -> Any:
        return document(job.params or None)

    @display(description=_("response"))
    def response_shown(self, job: AIJob) -> Any:
        return document(job.response)

    @display(description=_("error"))
    def error_shown(self, job: AIJob) -> Any:
        return document(job.error)

    @display(description=_("warnings"))
    def warnings_shown(self, job: AIJob) -> Any:
        return document(job.warnings or None)

    @display(description=_("timeline"))
    def timeline(self, job: AIJob) -> Any:
        return timeline_of(job)

    @display(description=_("held of budgets"))
    def holds_shown(self, job: AIJob) -> Any:
        headers = [_("budget"), _("window"), _("amount"), _("unit")]
        rows = [
            [link(page("ai_usage_budget", budget), budget), start, _amount(held, unit), unit]
            for budget, start, held, unit in job.holds
        ]
        return table(headers, rows) if rows else None

    @display(description=_("ledger entries"))
    def ledger(self, job: AIJob) -> Any:
        headers = [
            _("ledger entry"),
            _("made"),
            _("tokens"),
            _("cost"),
            _("charged to budgets"),
            _("was held"),
        ]
        entries = LedgerEntry.objects.of(job.company_id).filter(job_id=job.pk).order_by("pk")
        return table(headers, [_cells(entry) for entry in entries]) if entries else None

    def has_cancel_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether to offer it: on a list to whoever may act, on a job's page while it has not ended."""
        live = AIJob.objects.unscoped().filter(pk=object_id).exclude(status__in=ENDS)
        return self.has_act_permission(request) and (object_id is None or live.exists())

    @action(description=_("Cancel"), permissions=("cancel",))
    def cancel(self, request: HttpRequest, rows: QuerySet[AIJob]) -> None:
        """Cancel what has not ended; a running job is waited for, a few seconds at most."""
        live = rows.select_related(None).exclude(status__in=ENDS)
        jobs = list(live.only("pk", "job_id", "company_id"))
        told = [trail.about(request, "job.cancel", job, reason_of(request)) for job in jobs]
        done = loop.run(_cancel_all(jobs, told))
        cancelled = [job for job, ended in zip(jobs, done, strict=True) if ended]
        for job in cancelled:
            self.log_only(request, job, "Cancelled.")
        count = len(cancelled)
        self.message_user(request, ngettext("%d job cancelled.", "%d jobs cancelled.", count) % count)

    @action(
        description=_("Cancel"),
        icon="cancel",
        permissions=("cancel",),
        dialog={
            "form_class": ReasonedDialog,
            "title": _("Cancel the job?"),
            "description": _("What was used by then is charged."),
            "form_submit_text": _("Cancel the job"),
        },
    )
    def cancel_this(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        self.cancel(request, self.get_queryset(request).filter(pk=object_id))
        return after_dialog(page(AIJob, object_id))


async def _cancel_all(jobs: list[AIJob], told: list[trail.Entry]) -> list[bool]:
    """Each with its entry in the audit trail, written with the cancellation."""
    return await asyncio.gather(
        *(pipeline.cancel(job.pk, job.company_id, entry) for job, entry in zip(jobs, told, strict=True))
    )


def _amount(held: int, unit: str) -> str:
    return str(usd(held) if unit == "nano_usd" else localize(held))


def _cells(entry: LedgerEntry) -> list[Any]:
    """A ledger entry as a row of a table."""
    money = (entry.cost_nano_usd, entry.charged_nano_usd, entry.reserved_nano_usd)
    tokens = localize(sum(getattr(entry, name) for name in TOKENS))
    kind = link(page(LedgerEntry, entry.pk), entry.get_kind_display())
    return [kind, localize(entry.created_at), tokens, *(usd(nano) or "-" for nano in money)]


@admin.register(Attempt)
class AttemptAdmin(GrowingAdmin):
    """Calls to providers."""

    names = (_("attempt"), _("attempts"))
    list_display = (
        "started_at company job_link attempt_no provider source phase_shown error_code first_byte_ms"
    ).split()
    list_filter = (
        ("job__company", AutocompleteSelectFilter), "phase", ("started_at", RangeDateFilter),
    )  # fmt: skip
    search_fields = ("job__job_id", "provider_ref")
    fields = (
        "job_link company attempt_no session provider source phase provider_ref error_code usage_shown"
        " first_byte_ms started_at ended_at"
    ).split()
    readonly_fields = ("job_link", "company", "usage_shown")
    list_deferred = ("usage",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        # Names only: a join to the job would bring its documents along.
        rows: QuerySet[Attempt] = super().get_queryset(request)
        return rows.annotate(job_ref=F("job__job_id"), company_name=F("job__company__name"))

    @display(description=_("job"))
    def job_link(self, attempt: Any) -> Any:
        return link(page(AIJob, attempt.job_id), attempt.job_ref)

    @display(description=_("company"))
    def company(self, attempt: Any) -> str:
        return str(attempt.company_name)

    @display(description=_("phase"), label=PHASES)
    def phase_shown(self, attempt: Attempt) -> tuple[str, str]:
        return attempt.phase, attempt.get_phase_display()

    @display(description=_("usage"))
    def usage_shown(self, attempt: Attempt) -> Any:
        return document(attempt.usage)


class BatchJobInline(ReadOnlyInline):
    """A batch's jobs in the order of its contents."""

    model = BatchJob
    fields = ("position", "job_link", "status")
    readonly_fields = ("job_link", "status")
    ordering = ("position",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BatchJob]:
        rows: QuerySet[BatchJob] = super().get_queryset(request)
        return rows.annotate(job_ref=F("job__job_id"), job_status=F("job__status"))

    @display(description=_("job"))
    def job_link(self, place: Any) -> Any:
        return link(page(AIJob, place.job_id), place.job_ref)

    @display(description=_("status"), label=STATUSES)
    def status(self, place: Any) -> tuple[str, str]:
        return place.job_status, str(AIJob.Status(place.job_status).label)


@admin.register(AIBatch)
class AIBatchAdmin(GrowingAdmin):
    """Contents that were analysed together."""

    list_display = ("created_at", "company", "batch_id", "analysis_type", "model", "total_jobs", "sandbox")
    list_filter = (
        ("company", AutocompleteSelectFilter), "analysis_type", ("created_at", RangeDateFilter),
    )  # fmt: skip
    list_select_related = ("company",)
    search_fields = ("batch_id", "description")
    fields = (
        "batch_id company brand created_by analysis_type model description sandbox total_jobs"
        " estimated_tokens created_at"
    ).split()
    inlines = (BatchJobInline,)


@admin.register(WorkerSession)
class WorkerSessionAdmin(GrowingAdmin):
    """The processes that run jobs, and those that have."""

    names = (_("process"), _("processes"))
    list_display = ("kind", "host", "pid", "alive", "started_at", "beat_at", "ended_at")
    list_filter = ("kind", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("host",)
    fields = ("kind", "host", "pid", "started_at", "beat_at", "ended_at")

    @display(description=_("last sign of life (s ago)"))
    def alive(self, session: WorkerSession) -> int | None:
        if session.ended_at is not None:
            return None
        return int((clock.now() - session.beat_at).total_seconds())


@admin.register(ProviderGate)
class ProviderGateAdmin(GrowingAdmin):
    """The ways to providers that are shut now."""

    names = (_("provider gate"), _("provider gates"))
    list_display = ("key", "state", "shut_until", "hold_seconds", "shut_at")
    list_filter = ("state",)
    search_fields = ("key",)
    fields = list_display
