"""``/ai/jobs/{id}/feedback/``: what people think of a job's result."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ai_core.models import AIJob
from ai_usage.models import JobRating
from ai_usage.services import ratings
from ai_usage.services.ratings import Rated
from megahub.kernel.shapes import Strict

#: An answer shows the newest of these.
SHOWN = 200


class Feedback(Strict):
    """The body of ``POST /ai/jobs/{id}/feedback/``: 0 to 10, to a tenth."""

    score = serializers.DecimalField(max_digits=3, decimal_places=1, min_value=0, max_value=10)
    comment = serializers.CharField(default="", allow_blank=True, max_length=4000)


class RatingShape(serializers.Serializer[Any]):
    """What one person said of a job."""

    username = serializers.CharField(source="user.username")
    score = serializers.SerializerMethodField()
    comment = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_score(self, row: JobRating) -> float:
        return row.score_tenths / 10


class RatingsShape(serializers.Serializer[Any]):
    """A job's ratings, the latest first (200 at most), the caller's own, and the mean of all."""

    job_id = serializers.CharField()
    count = serializers.IntegerField()
    quality_score = serializers.FloatField(allow_null=True)
    own = RatingShape(allow_null=True)
    ratings = RatingShape(many=True)


class FeedbackShape(serializers.Serializer[Any]):
    """A person's rating, and the mean of all ratings of the job."""

    job_id = serializers.CharField()
    score = serializers.FloatField()
    comment = serializers.CharField()
    quality_score = serializers.FloatField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def told(job: AIJob, rated: Rated) -> dict[str, Any]:
    """What a person said, and what that makes of the job."""
    return {
        "job_id": job.job_id,
        "score": rated.rating.score_tenths / 10,
        "comment": rated.rating.comment,
        "quality_score": ratings.quality_of(job.company_id, job.pk),
        "created_at": rated.rating.created_at,
        "updated_at": rated.rating.updated_at,
    }


def everybodys(job: AIJob, user_id: int | None) -> dict[str, Any]:
    """All that was said of a job, the caller's own apart."""
    rows = ratings.ratings_of(job.company_id, job.pk)
    own = None if user_id is None else rows.filter(user_id=user_id).first()
    return {
        "job_id": job.job_id,
        "count": rows.count(),
        "quality_score": ratings.quality_of(job.company_id, job.pk),
        "own": None if own is None else RatingShape(own).data,
        "ratings": RatingShape(rows[:SHOWN], many=True).data,
    }
