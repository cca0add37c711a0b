"""Ratings of jobs: one per person and job, changeable; each change is appended for the rollups."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Avg, QuerySet

from ai_usage.models import JobRating, LedgerEntry, RatingChange
from megahub.kernel import clock
from megahub.kernel.errors import Conflict


@dataclass(frozen=True, slots=True)
class Rated:
    """A stored rating, and whether it is the person's first of this job."""

    rating: JobRating
    is_first: bool


@transaction.atomic
def rate(company_id: int, job_id: int, user_id: int, tenths: int, comment: str) -> Rated:
    """Store a person's rating.

    Raises Conflict for a job that has used nothing yet: there is nothing to rate.
    """
    ended = LedgerEntry.objects.of(company_id).filter(job_id=job_id, kind__in=("settle", "void"))
    if not ended.exclude(kind="void", attempt_no=0).exists():
        raise Conflict("This job has no result that could be rated.")
    ratings = JobRating.objects.of(company_id).select_for_update()
    rating, is_first = ratings.get_or_create(
        company_id=company_id,
        job_id=job_id,
        user_id=user_id,
        defaults={"score_tenths": tenths, "comment": comment},
    )
    before = 0 if is_first else rating.score_tenths
    if not is_first:
        rating.score_tenths, rating.comment, rating.updated_at = tenths, comment, clock.now()
        rating.save(update_fields=["score_tenths", "comment", "updated_at"])
    RatingChange.objects.unscoped().create(
        company_id=company_id, job_id=job_id, tenths=tenths - before, ratings=int(is_first)
    )
    return Rated(rating, is_first)


def ratings_of(company_id: int, job_id: int) -> QuerySet[JobRating]:
    """People's ratings of a job, the latest first."""
    rows: QuerySet[JobRating] = JobRating.objects.of(company_id).filter(job_id=job_id)
    return rows.select_related("user").order_by("-updated_at", "-pk")


def quality_of(company_id: int, job_id: int) -> float | None:
    """The mean of a job's ratings, 0 to 10; None without one."""
    own = JobRating.objects.of(company_id).filter(job_id=job_id)
    tenths = own.aggregate(mean=Avg("score_tenths"))["mean"]
    return None if tenths is None else round(float(tenths) / 10, 2)
