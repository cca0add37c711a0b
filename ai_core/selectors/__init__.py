"""Reading jobs: types by name, a company's jobs, one job by number or job_id."""

from __future__ import annotations

import re

from django.db.models import F, QuerySet

from ai_core.domain import kinds
from ai_core.domain.states import ENDS
from ai_core.models import AIJob, AIJobType
from megahub.kernel.cache import ShortLived
from megahub.kernel.errors import NotFound

TTL_SECONDS = 30.0
JOB_ID_DIGITS = 18
JOB_REF = re.compile(r"\w{1,40}", re.ASCII)


def _load(name: str) -> AIJobType:
    return AIJobType.objects.get(name=kinds.find(name).name)


_types: ShortLived[str, AIJobType] = ShortLived(_load, TTL_SECONDS)


async def job_type(name: str) -> AIJobType:
    """The type of that name. Raises JobTypeNotFound with the known names."""
    return await _types.aget(name)


def has_ended(job_pk: int) -> bool:
    """Whether a job is in one of its four ends."""
    return bool(AIJob.objects.unscoped().filter(pk=job_pk, status__in=ENDS).exists())


def jobs_of(company_id: int) -> QuerySet[AIJob]:
    """A company's jobs that were not deleted, newest first, with what a row of a list shows."""
    rows = AIJob.objects.of(company_id).filter(deleted_at=None)
    return rows.select_related("job_type", "brand", "created_by").order_by("-created_at", "-pk")


def in_status(rows: QuerySet[AIJob], status: str) -> QuerySet[AIJob]:
    """Those in a status; what waits or runs is few and found by an index of its own."""
    if status == "pending":
        rows = rows.filter(ring_at__isnull=False)
    elif status == "running":
        rows = rows.filter(attempts__phase="calling", attempts__attempt_no=F("attempt_no"))
    return rows.filter(status=status)


def job_of(company_id: int, brand_id: int, ref: str) -> AIJob:
    """One job of a brand by its number or its job_id. Raises NotFound, also for a foreign one."""
    if not JOB_REF.fullmatch(ref):
        raise NotFound
    rows = jobs_of(company_id).filter(brand_id=brand_id)
    if ref.isdecimal() and len(ref) <= JOB_ID_DIGITS:
        rows = rows.filter(pk=int(ref))
    else:
        rows = rows.filter(job_id=ref)
    found = rows.select_related("usage", "openai_job").first()
    if found is None:
        raise NotFound
    return found
