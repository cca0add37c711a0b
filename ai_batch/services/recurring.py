"""Batches that come again: made when they are due, once each, however many processes look."""

from __future__ import annotations

import logging
import secrets
from datetime import datetime
from typing import Any

from django.db import transaction

from ai_batch.domain import recurring
from ai_batch.domain.refusals import NoSuchSchedule
from ai_batch.models import BatchSchedule, StoredFile
from ai_batch.services import batches, files, making
from ai_batch.services.files import Owner
from megahub.kernel import clock
from megahub.kernel.errors import HubError
from megahub.tenancy.selectors import Caller

log = logging.getLogger(__name__)


def create(caller: Caller, told: dict[str, Any], template: StoredFile) -> BatchSchedule:
    """A new schedule (``told`` is checked); its first run is the next that its expression names."""
    # The template is the schedule's own: it stays whatever happens to other files.
    StoredFile.objects.of(caller.company_id).filter(pk=template.pk).update(expires_at=None)
    schedule: BatchSchedule = BatchSchedule.objects.unscoped().create(
        company_id=caller.company_id,
        brand_id=caller.require_brand(),
        created_by_id=caller.user_id,
        schedule_id=f"sched_{secrets.token_hex(12)}",
        template=template,
        next_at=recurring.following(told["cron"], told["timezone"], clock.now()),
        **told,
    )
    return schedule


def change(schedule: BatchSchedule, told: dict[str, Any]) -> BatchSchedule:
    """Other words, another clock, paused or going on. Raises NoSuchSchedule when it is deleted by then.

    Its next run moves by compare-and-swap: a run that is made meanwhile, or another's pause, is not undone.
    """
    rows = BatchSchedule.objects.of(schedule.company_id).filter(pk=schedule.pk, deleted_at=None)
    while True:
        next_at = _moved(schedule, told)
        words = {name: value for name, value in told.items() if name != "paused"}
        if rows.filter(next_at=schedule.next_at).update(**words, next_at=next_at):
            break
        if not rows.exists():
            raise NoSuchSchedule(param="id")
        schedule.refresh_from_db()
    for name, value in {**words, "next_at": next_at}.items():
        setattr(schedule, name, value)
    return schedule


def _moved(schedule: BatchSchedule, told: dict[str, Any]) -> datetime | None:
    """When it runs next after a change; one that leaves its clock alone leaves that, even when due."""
    was_paused = schedule.next_at is None
    paused = told.get("paused", was_paused)
    cron, zone = told.get("cron", schedule.cron), told.get("timezone", schedule.timezone)
    if paused:
        return None
    if not was_paused and (cron, zone) == (schedule.cron, schedule.timezone):
        return schedule.next_at
    return recurring.following(cron, zone, clock.now())


def delete(schedule: BatchSchedule) -> None:
    """No more of it; its batches stay."""
    BatchSchedule.objects.of(schedule.company_id).filter(pk=schedule.pk).update(
        deleted_at=clock.now(), next_at=None
    )


def run_due() -> int:
    """Make the batches that are due; how many. Runs that were missed come once, not each."""
    due = BatchSchedule.objects.unscoped().filter(next_at__lte=clock.now(), deleted_at=None)
    return sum(run(schedule) for schedule in due.select_related("template").order_by("next_at")[:100])


def run(schedule: BatchSchedule) -> bool:
    """Make one batch; False when another process was quicker, or it could not be made."""
    assert schedule.next_at is not None
    due, now = schedule.next_at, clock.now()
    following = None  # whose clock nobody can read is paused, and says why
    rows = BatchSchedule.objects.unscoped().filter(pk=schedule.pk, next_at=due)
    owner = Owner(schedule.company_id, schedule.brand_id, schedule.created_by_id)
    try:
        following = recurring.following(schedule.cron, schedule.timezone, now)
        file = making.of_lines(owner, f"{schedule.schedule_id}.jsonl", _lines(schedule, due))
    except (HubError, OSError, recurring.BadClock) as error:
        log.exception("schedule %s could not run", schedule.schedule_id)
        rows.update(next_at=following, last_at=now, last_error=str(error)[:300])
        return False
    with transaction.atomic():
        if not rows.update(next_at=following, last_at=now, last_error=""):
            files.forget(file)
            return False
        batches.begin(owner, {**schedule.fields, "schedule": schedule}, file, file.file_id)
    return True


def _lines(schedule: BatchSchedule, due: datetime) -> Any:
    values = recurring.variables(due, schedule.timezone)
    with files.open_content(schedule.template) as content:
        for line in content:
            yield recurring.filled(line, values)
