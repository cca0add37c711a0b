"""Shapes of ``/ai/openai/jobs/``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ai_core.api import outcomes
from ai_core.api.serializers import JobDetail, JobShape, UsageShape
from ai_core.models import AIJob
from ai_openai.domain import chat
from ai_openai.models import OpenAIJob
from ai_providers.catalogue import loading
from megahub.kernel import money
from megahub.kernel.shapes import Strict


class JobReference(JobShape):
    """The job that an OpenAI job is part of."""

    class Meta(JobShape.Meta):
        fields = (
            "id",
            "job_id",
            "job_type",
            "brand",
            "created_by",
            "status",
            "priority",
            "progress_percentage",
            "description",
            "is_async",
            "sandbox",
            "error_message",
            "created_at",
            "started_at",
            "completed_at",
            "execution_time_seconds",
        )


class OpenAIJobRow(serializers.ModelSerializer[OpenAIJob]):
    """A row of the list. Tokens and cost are null until the job has used something.

    ``performance_tier`` is the quality that the catalogue gives the model; ``quality_score`` what
    people said of the answer, ``reasoning_steps`` what the provider returned: null without either.
    """

    ai_job = JobReference()
    messages_format = serializers.CharField(allow_null=True)
    performance_tier = serializers.SerializerMethodField()
    prompt_tokens = serializers.SerializerMethodField()
    completion_tokens = serializers.SerializerMethodField()
    total_tokens = serializers.SerializerMethodField()
    cost_usd = serializers.SerializerMethodField()
    execution_time_ms = serializers.SerializerMethodField()

    class Meta:
        model = OpenAIJob
        fields: tuple[str, ...] = (
            "id",
            "ai_job",
            "model",
            "generation",
            "performance_tier",
            "temperature",
            "max_tokens",
            "max_completion_tokens",
            "reasoning_effort",
            "messages_format",
            "tools",
            "tool_resources",
            "response_format",
            "openai_id",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "cost_usd",
            "execution_time_ms",
            "quality_score",
            "reasoning_steps",
            "created_at",
        )

    def get_performance_tier(self, row: OpenAIJob) -> str | None:
        spec = loading.models().get(row.model)
        return spec.profile.quality if spec is not None else None

    def get_prompt_tokens(self, row: OpenAIJob) -> int | None:
        return _used(row, "input_tokens")

    def get_completion_tokens(self, row: OpenAIJob) -> int | None:
        return _used(row, "output_tokens")

    def get_total_tokens(self, row: OpenAIJob) -> int | None:
        return _used(row, "total_tokens")

    def get_cost_usd(self, row: OpenAIJob) -> str | None:
        return money.show(_used(row, "total_cost_nano_usd"))

    def get_execution_time_ms(self, row: OpenAIJob) -> int | None:
        return row.ai_job.execution_time_ms


def _used(row: OpenAIJob, name: str) -> int | None:
    usage = getattr(row.ai_job, "usage", None)
    return getattr(usage, name, None)


class OpenAIJobWhole(OpenAIJobRow):
    """An OpenAI job with its texts, its result and its usage."""

    input_data = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField()
    usage = serializers.SerializerMethodField()
    quality_indicators = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta(OpenAIJobRow.Meta):
        fields = (
            *OpenAIJobRow.Meta.fields,
            "input_data",
            "result",
            "usage",
            "quality_indicators",
            "error",
            "warnings",
        )

    def get_input_data(self, row: OpenAIJob) -> dict[str, Any]:
        return dict(row.ai_job.input_data)

    @extend_schema_field(outcomes.RESULT)
    def get_result(self, row: OpenAIJob) -> dict[str, Any] | None:
        return JobDetail().get_result_data(row.ai_job)

    @extend_schema_field(UsageShape(allow_null=True))
    def get_usage(self, row: OpenAIJob) -> dict[str, Any] | None:
        usage = getattr(row.ai_job, "usage", None)
        return None if usage is None else dict(UsageShape(usage).data)

    @extend_schema_field(outcomes.QUALITY)
    def get_quality_indicators(self, row: OpenAIJob) -> dict[str, Any]:
        return chat.quality_indicators(row.ai_job.response or {})

    @extend_schema_field(outcomes.ERROR)
    def get_error(self, row: OpenAIJob) -> dict[str, Any] | None:
        return JobDetail().get_error(row.ai_job)

    @extend_schema_field(outcomes.WARNINGS)
    def get_warnings(self, row: OpenAIJob) -> list[dict[str, Any]]:
        return JobDetail().get_warnings(row.ai_job)


class ChangedParts(Strict):
    """What of a PUT or PATCH is the job's own; every other name is a parameter of the model."""

    priority = serializers.ChoiceField(choices=AIJob.Priority.choices, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    progress_percentage = serializers.IntegerField(required=False, min_value=0, max_value=100)
