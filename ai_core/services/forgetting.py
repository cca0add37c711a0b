"""Texts go: those a policy does not keep, those that are too old, those of a person who asked for it.

Rows stay, with their figures: what a job used and cost is in the ledger, which holds no texts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet

from ai_core.domain.states import ENDS
from ai_core.models import AIBatch, AIJob
from ai_guard.domain import keeping
from ai_guard.models import Erasure, GuardPolicy
from ai_usage.models import JobRating
from megahub.kernel import clock

CHUNK = 500
EMPTY: dict[str, Any] = {
    "input_data": {},
    "params": {},
    "response": None,
    "description": "",
    "end_user": None,
}


def forget_due() -> int:
    """Apply their policies to jobs that have ended and whose answers could be fetched; how many."""
    done = 0
    due = AIJob.objects.unscoped().filter(forget_at__lte=clock.now(), status__in=ENDS)
    while rows := list(due.order_by("forget_at")[:CHUNK]):
        for row in rows:
            _apply(row)
        done += len(rows)
    return done


def _apply(row: AIJob) -> None:
    keep = row.keep or "all"
    AIJob.objects.unscoped().filter(pk=row.pk).update(
        input_data=keeping.kept(keep, row.input_data),
        params=keeping.kept(keep, row.params),
        description=keeping.kept_text(keep, row.description),
        response=keeping.kept_answer(keep, row.response),
        error=keeping.kept_error(keep, row.error),
        forget_at=None,
    )


def forget_old() -> int:
    """Delete the texts of jobs that are older than their company keeps them; how many jobs."""
    policies = GuardPolicy.objects.unscoped().exclude(keep_days=None)
    return sum(_forget_old(policy) for policy in policies)


def _forget_old(policy: GuardPolicy) -> int:
    until = clock.now() - timedelta(days=policy.keep_days or 0)
    old = AIJob.objects.of(policy.company_id).filter(created_at__lt=until, status__in=ENDS)
    if policy.forgotten_until is not None:
        # What was still running the last time is looked for again: no job runs for a day.
        old = old.filter(created_at__gte=policy.forgotten_until - timedelta(days=1))
    done = _empty(old.exclude(input_data={}))
    # Only rows that still say something: the others would be written anew every hour.
    batches = AIBatch.objects.of(policy.company_id).filter(created_at__lt=until)
    batches.exclude(description="").update(description="")
    said = JobRating.objects.of(policy.company_id).filter(created_at__lt=until)
    said.exclude(comment="").update(comment="")
    GuardPolicy.objects.unscoped().filter(pk=policy.pk).update(forgotten_until=until)
    return done


def _empty(rows: QuerySet[AIJob]) -> int:
    """Empty rows by chunks, each in a transaction of its own: nobody waits for long."""
    done = 0
    for chunk in _chunks(rows):
        one = AIJob.objects.unscoped().filter(pk__in=chunk)
        done += one.update(**EMPTY, error=None, forget_at=None, revision=F("revision") + 1)
    return done


def _chunks(rows: QuerySet[AIJob]) -> Iterator[list[int]]:
    last = 0
    while chunk := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        yield chunk
        last = chunk[-1]


@dataclass(frozen=True, slots=True)
class Person:
    """Whose texts are meant: one of a company's own users, or one of its members (``member``)."""

    company_id: int
    end_user: str = ""
    member: int | None = None

    @property
    def name(self) -> str:
        """As an erasure's digest knows them; no end user's name begins like a member's."""
        return self.end_user if self.member is None else f"\0member {self.member}"

    def jobs(self) -> QuerySet[AIJob]:
        """What was sent for them, or by them."""
        rows: QuerySet[AIJob] = AIJob.objects.of(self.company_id)
        if self.member is not None:
            return rows.filter(created_by_id=self.member)
        return rows.filter(end_user=self.end_user)


def erase(company_id: int, end_user: str, by: int | None) -> Erasure:
    """Forget everything that was sent for an end user; jobs that still run are forgotten when they end."""
    return erase_person(Person(company_id, end_user), by)


def erase_person(person: Person, by: int | None) -> Erasure:
    """``erase``, of a member too: what they sent and rated. Their account and the trail stay."""
    company_id, theirs = person.company_id, person.jobs()
    open_ones = theirs.exclude(status__in=ENDS)
    waiting = open_ones.update(keep="none", forget_at=clock.now(), end_user=None)
    JobRating.objects.of(company_id).filter(job_id__in=theirs.values("pk")).update(comment="")
    return Erasure.objects.unscoped().create(
        company_id=company_id,
        end_user_digest=digest(company_id, person.name),
        jobs=_empty(theirs),
        waiting=waiting,
        created_by_id=by,
    )


def digest(company_id: int, end_user: str) -> str:
    """An end user's name under the hub's own key: whether it was erased can be checked, not read."""
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, f"erasure|{company_id}|{end_user}".encode(), hashlib.sha256).hexdigest()


def everything_of(person: Person, after: int = 0) -> tuple[list[dict[str, Any]], int]:
    """What is kept of somebody, behind job ``after``: records, and where to go on (0: no further)."""
    company_id = person.company_id
    rows = person.jobs().filter(pk__gt=after)
    found = list(rows.order_by("pk")[:CHUNK])
    records = [{"kind": "job", **_exported(row)} for row in found]
    if len(found) == CHUNK:
        return records, int(found[-1].pk)
    known = digest(company_id, person.name)
    for erasure in Erasure.objects.of(company_id).filter(end_user_digest=known).order_by("pk"):
        records.append(
            {"kind": "erasure", "created_at": clock.iso(erasure.created_at), "jobs": erasure.jobs}
        )
    return records, 0


def _exported(row: AIJob) -> dict[str, Any]:
    plain = (
        "job_id",
        "status",
        "model",
        "provider",
        "description",
        "input_data",
        "params",
        "response",
        "error",
    )
    moments: dict[str, datetime | None] = {"created_at": row.created_at, "completed_at": row.completed_at}
    return {
        **{name: getattr(row, name) for name in plain},
        **{name: clock.iso(moment) if moment else None for name, moment in moments.items()},
        "brand_id": row.brand_id,
        "end_user": row.end_user,
    }
