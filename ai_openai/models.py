"""What OpenAI's words say of a job beside the job itself."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext

from megahub.tenancy.scoping import CompanyOwned


class OpenAIJob(CompanyOwned):
    """The request's parameters as they were sent. Tokens and cost are the job's usage.

    A view over the jobs (migration 0004): its number is the job's. ``openai_id`` and
    ``reasoning_steps`` are what the provider returned; ``quality_score`` is the mean of people's
    ratings, null without one.
    """

    brand = models.ForeignKey("tenancy.Brand", on_delete=models.DO_NOTHING, related_name="+")

    ai_job = models.OneToOneField("ai_core.AIJob", on_delete=models.DO_NOTHING, related_name="openai_job")
    model = models.CharField(max_length=120)
    generation = models.CharField(max_length=6)
    temperature = models.FloatField(null=True)
    max_tokens = models.PositiveIntegerField(null=True)
    max_completion_tokens = models.PositiveIntegerField(null=True)
    reasoning_effort = models.CharField(max_length=10, null=True)
    messages_format = models.CharField(max_length=10)
    tools = models.JSONField(null=True)
    response_format = models.JSONField(null=True)
    tool_resources = models.JSONField(null=True)
    has_tools = models.BooleanField()
    openai_id = models.CharField(max_length=120, null=True)
    reasoning_steps = models.PositiveIntegerField(null=True)
    quality_score = models.FloatField(null=True)
    created_at = models.DateTimeField()

    class Meta(CompanyOwned.Meta):
        managed = False
        db_table = "ai_openai_openaijob"
        verbose_name = "OpenAI job"

    def __str__(self) -> str:
        return gettext("%(model)s for job %(job)s") % {"model": self.model, "job": self.ai_job_id}
