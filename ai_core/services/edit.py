"""What a job's owner may change of it: description, priority, input while pending; delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from django.db import transaction
from django.db.models import F

from ai_core.domain.states import ENDS
from ai_core.models import AIJob
from ai_core.services.accept import JOBS, Acceptance
from ai_core.services.cancel import CANCEL, Cancellation
from ai_guard.domain import keeping
from ai_usage.models import JobRemoval
from ai_usage.services import budgets
from ai_usage.services.budgets import Charge
from megahub.delivery import selectors as webhooks
from megahub.kernel import clock, journal, trail
from megahub.kernel.errors import HubError, JobNotEditable, JobRunning
from megahub.kernel.session import Session

AMENDED = "endpoint model provider generation sandbox input_data params holds warnings".split()


@dataclass(frozen=True, slots=True)
class Amendment:
    """A pending job's new input, checked and estimated like a new job's; ``revision`` as it was read."""

    job_pk: int
    revision: int
    new: Acceptance
    entry: trail.Entry | None = None


class Amend:
    """Journal writer: None when the input was changed, else why not; then nothing was."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[Amendment]) -> list[HubError | None]:
        return [self._amend(session, entry) for entry in entries]

    def recover(self, session: Session, entry: Amendment) -> None:
        """Asked for again, it finds another revision and is refused: the caller looks and sees."""

    @staticmethod
    def _amend(session: Session, entry: Amendment) -> HubError | None:
        names = ", ".join(f"{name} = r.{name}" for name in AMENDED)
        found = session.rows(
            "SELECT holds, sandbox FROM ai_core_aijob WHERE id = %s AND status = 'pending'"
            f" AND revision = %s{session.for_update}",
            [entry.job_pk, entry.revision],
        )
        if not found:
            return JobNotEditable(words={"fields": "input_data"}, current_status="running")
        holds, sandbox = orjson.loads(found[0][0]), bool(found[0][1])
        budgets.lock(session, [entry.new.budget], [(holds, sandbox)])
        budgets.charge(session, [(holds, sandbox, Charge())])
        (refusal,) = budgets.reserve(session, [entry.new.budget], clock.now())
        if refusal is not None:
            raise refusal  # the whole transaction goes, what the job held stays held
        session.execute(
            f"UPDATE ai_core_aijob SET {names}, revision = ai_core_aijob.revision + 1"
            f" FROM {JOBS.source} WHERE ai_core_aijob.id = %s",
            [JOBS.pack([entry.new.row]), entry.job_pk],
        )
        if entry.entry is not None:
            trail.record_in(session, entry.entry)
        return None


AMEND = Amend()


def check(job: AIJob, changes: dict[str, Any]) -> None:
    """Raise JobNotEditable for a change that the job's state does not allow: before any is made."""
    allowed = {
        "input_data": job.status == "pending",
        "progress_percentage": job.status == "running" and job.is_async,
    }
    refused = [name for name, may in allowed.items() if name in changes and not may]
    if refused:
        raise JobNotEditable(words={"fields": refused}, current_status=job.status)


def change(job: AIJob, changes: dict[str, Any]) -> None:
    """Change description, priority and progress. Raises JobNotEditable for a job that has ended by now."""
    fields = ("description", "priority", "progress_percentage")
    updates = {name: changes[name] for name in fields if name in changes}
    if "description" in updates:
        updates["description"] = keeping.kept_text(job.keep or "all", updates["description"])
    if not updates:
        return
    rows = AIJob.objects.of(job.company_id).filter(pk=job.pk)
    if "progress_percentage" in updates:
        rows = rows.filter(status="running")
    if rows.update(**updates, revision=F("revision") + 1) != 1:
        raise JobNotEditable(words={"fields": "progress_percentage"}, current_status="completed")


def end_pending(job: AIJob) -> None:
    """Cancel a job that is still pending, so that it can be deleted."""
    if job.status == "pending":
        wanted = webhooks.wanted_now(job.company_id)
        journal.write_and_wait(CANCEL, Cancellation(job.pk, job.company_id, wanted=wanted))


def delete(job: AIJob) -> None:
    """Take an ended job out of sight and erase its texts; what it used and cost stays. JobRunning else.

    One that somebody else has deleted meanwhile stays deleted.
    """
    rows = AIJob.objects.of(job.company_id).filter(pk=job.pk)
    with transaction.atomic():
        erased = rows.filter(deleted_at=None, status__in=ENDS).update(
            deleted_at=clock.now(),
            input_data={},
            response=None,
            description="",
            revision=F("revision") + 1,
        )
        if erased == 1:
            JobRemoval.objects.unscoped().create(company_id=job.company_id, job_id=job.pk)
        elif rows.filter(deleted_at=None).exists():
            raise JobRunning(current_status="running")
