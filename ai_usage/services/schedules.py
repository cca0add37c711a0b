"""Schedules of exports: each period once, whoever runs them and however often."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import Any, cast

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from ai_usage.domain import schedules
from ai_usage.domain.schedules import Period
from ai_usage.models import Export, ExportSchedule
from ai_usage.selectors import Scope
from ai_usage.services import exports
from megahub.kernel import clock
from megahub.kernel.errors import TooManyRequests, ValidationFailed
from megahub.kernel.text import Text

log = logging.getLogger(__name__)

#: Periods of one schedule that are caught up with at once.
AT_ONCE = 31


def make(scope: Scope, user_id: int, asked: dict[str, Any]) -> ExportSchedule:
    """A schedule that begins with the present period. Raises ValidationFailed for a name that is taken."""
    brands = None if scope.brands is None else sorted(scope.brands)
    known = {"company_id": scope.company_id, "brand_ids": brands, "sandbox": scope.sandbox}
    row = ExportSchedule(**known, created_by_id=user_id, **asked, next_start=date.min)
    row.next_start = schedules.begin(cast(Period, row.period), scope.today)
    return _saved(row)


def change(schedule: ExportSchedule, asked: dict[str, Any]) -> ExportSchedule:
    """Change what is named. One that goes on, or counts otherwise, begins with the present period."""
    begins = asked.get("period", schedule.period) != schedule.period
    begins |= schedule.is_paused and asked.get("is_paused") is False
    for name, value in asked.items():
        setattr(schedule, name, value)
    if begins:
        today = clock.now().astimezone(clock.zone(schedule.company.timezone)).date()
        schedule.next_start = schedules.begin(cast(Period, schedule.period), today)
    return _saved(schedule, [*asked, "next_start"] if begins else [*asked])


def run_due() -> int:
    """Ask for the export of every period that has ended; how many."""
    rows: QuerySet[ExportSchedule] = ExportSchedule.objects.unscoped()
    waiting = rows.filter(is_paused=False, company__is_active=True).select_related("company")
    return sum(_run(schedule) for schedule in waiting.order_by("id").iterator())


def next_run(schedule: ExportSchedule) -> Any:
    """When the next period is exported; None while it is paused."""
    if schedule.is_paused:
        return None
    zone = clock.zone(schedule.company.timezone)
    return schedules.due_at(cast(Period, schedule.period), schedule.next_start, schedule.hour, zone)


def _run(schedule: ExportSchedule) -> int:
    done = 0
    while done < AT_ONCE and (due := next_run(schedule)) is not None and due <= clock.now():
        try:
            if not _step(schedule):
                return done
        except TooManyRequests:
            log.warning("schedule %s waits: too many exports of its company are open", schedule.pk)
            return done
        done += 1
    return done


def _step(schedule: ExportSchedule) -> bool:
    """Move on by one period and write its export, in one transaction; False when another process did."""
    start = schedule.next_start
    following = schedules.following(cast(Period, schedule.period), start)
    with transaction.atomic():
        own = ExportSchedule.objects.unscoped().filter(pk=schedule.pk, next_start=start, is_paused=False)
        if own.update(next_start=following) != 1:
            return False
        brands = None if schedule.brand_ids is None else frozenset(schedule.brand_ids)
        scope = Scope(schedule.company_id, brands, schedule.sandbox, schedule.company.timezone)
        to = schedule.recipients if schedule.delivery == ExportSchedule.Delivery.EMAIL else []
        wanted = exports.Wanted(scope, schedule.format, schedule.filters, schedule.created_by_id, to)
        if not Export.objects.of(scope.company_id).filter(schedule=schedule, period_start=start).exists():
            last = following - timedelta(days=1)
            exports.ask(wanted, schedule_id=schedule.pk, period_start=start, period_end=last)
    schedule.next_start = following
    return True


def _saved(row: ExportSchedule, names: list[str] | None = None) -> ExportSchedule:
    try:
        with transaction.atomic():
            row.save(update_fields=names) if names is not None else row.save()
    except IntegrityError as error:
        text = Text("There is a schedule of this name already.")
        raise ValidationFailed(field_errors={"name": [text]}, param="name") from error
    return row
