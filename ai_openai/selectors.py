"""Reading OpenAI jobs: a brand's, with the jobs that they are part of and their usage."""

from __future__ import annotations

from django.db.models import QuerySet

from ai_openai.models import OpenAIJob


def jobs_of(company_id: int, brand_id: int) -> QuerySet[OpenAIJob]:
    """A brand's OpenAI jobs that were not deleted, newest first, with all that a row shows."""
    rows = OpenAIJob.objects.of(company_id).filter(brand_id=brand_id, ai_job__deleted_at=None)
    beside = ("ai_job__job_type", "ai_job__brand", "ai_job__created_by", "ai_job__usage")
    return rows.select_related(*beside).order_by("-created_at", "-pk")
