"""Shapes of ``/ai/jobs/`` and ``/ai/job-types/``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from ai_core.api import outcomes
from ai_core.domain.kinds import can_run, result_of
from ai_core.models import AIJob, AIJobType
from ai_core.services.warnings import warnings_of_row
from ai_usage.models import AIJobUsage
from megahub.kernel import errors, money
from megahub.kernel.shapes import Strict
from megahub.kernel.text import said


class JobTypeShape(serializers.ModelSerializer[AIJobType]):
    available = serializers.SerializerMethodField(help_text="Whether the hub runs jobs of this type yet.")

    def get_available(self, row: AIJobType) -> bool:
        return can_run(row.name)

    class Meta:
        model = AIJobType
        fields = (
            "id",
            "name",
            "description",
            "category",
            "estimated_duration_seconds",
            "requires_async",
            "available",
        )


class TypeReference(serializers.ModelSerializer[AIJobType]):
    class Meta:
        model = AIJobType
        fields = ("id", "name", "category")


class Named(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class Person(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    username = serializers.CharField()


class JobShape(serializers.ModelSerializer[AIJob]):
    """A row of the list."""

    job_type = TypeReference()
    brand = Named()
    created_by = Person()
    result_data = serializers.SerializerMethodField()
    error_message = serializers.SerializerMethodField()
    execution_time_seconds = serializers.FloatField(allow_null=True)

    class Meta:
        model = AIJob
        fields: tuple[str, ...] = (
            "id",
            "job_id",
            "job_type",
            "brand",
            "created_by",
            "status",
            "priority",
            "progress_percentage",
            "input_data",
            "result_data",
            "error_message",
            "description",
            "task_id",
            "is_async",
            "model",
            "provider",
            "sandbox",
            "created_at",
            "started_at",
            "completed_at",
            "cancelled_at",
            "execution_time_seconds",
        )

    @extend_schema_field(outcomes.RESULT)
    def get_result_data(self, job: AIJob) -> dict[str, Any] | None:
        return result_of(job.endpoint, job.response)

    def get_error_message(self, job: AIJob) -> str | None:
        """What the job failed with, in the reader's language."""
        if job.error is None:
            return None
        error = errors.restore(job.error)
        return error.text(gettext(error.message))


class UsageShape(serializers.ModelSerializer[AIJobUsage]):
    """A job's usage as its detail nests it; costs are null while a model is unpriced."""

    total_cost = serializers.SerializerMethodField()
    cost_input = serializers.SerializerMethodField()
    cost_output = serializers.SerializerMethodField()
    execution_time_seconds = serializers.SerializerMethodField()
    memory_usage_mb = serializers.SerializerMethodField()
    success_rate = serializers.SerializerMethodField()
    error_count = serializers.SerializerMethodField()

    class Meta:
        model = AIJobUsage
        fields = (
            "input_tokens",
            "output_tokens",
            "total_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "is_estimated",
            "cost_input",
            "cost_output",
            "total_cost",
            "execution_time_seconds",
            "memory_usage_mb",
            "provider_name",
            "model_name",
            "success_rate",
            "error_count",
        )

    def get_total_cost(self, usage: AIJobUsage) -> str | None:
        return money.show(usage.total_cost_nano_usd)

    def get_cost_input(self, usage: AIJobUsage) -> str | None:
        return money.show(usage.cost_input_nano_usd)

    def get_cost_output(self, usage: AIJobUsage) -> str | None:
        """What is left of the total: three rounded figures must still add up."""
        if usage.total_cost_nano_usd is None or usage.cost_input_nano_usd is None:
            return None
        total, put_in = (money.rounded(n) for n in (usage.total_cost_nano_usd, usage.cost_input_nano_usd))
        return str(total - put_in)

    def get_execution_time_seconds(self, usage: AIJobUsage) -> float | None:
        return None if usage.execution_time_ms is None else usage.execution_time_ms / 1000

    def get_success_rate(self, usage: AIJobUsage) -> float:
        return 1.0 if usage.is_success else 0.0

    def get_memory_usage_mb(self, usage: AIJobUsage) -> float | None:
        """Nothing measures it: jobs share the memory of their process."""
        return None

    def get_error_count(self, usage: AIJobUsage) -> int:
        return 0 if usage.is_success else 1


class AttemptShape(serializers.Serializer[Any]):
    """One call to a provider."""

    attempt_no = serializers.IntegerField()
    provider = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # DRF's own attribute of that name
    phase = serializers.CharField()
    error_code = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    first_byte_ms = serializers.IntegerField(allow_null=True)


class OpenAIJobShape(serializers.Serializer[Any]):
    """The request's parameters, with the usage's tokens beside them."""

    model = serializers.CharField()
    generation = serializers.CharField()
    temperature = serializers.FloatField(allow_null=True)
    max_tokens = serializers.IntegerField(allow_null=True)
    max_completion_tokens = serializers.IntegerField(allow_null=True)
    reasoning_effort = serializers.CharField(allow_null=True)
    messages_format = serializers.CharField(allow_null=True)
    prompt_tokens = serializers.IntegerField(allow_null=True)
    completion_tokens = serializers.IntegerField(allow_null=True)
    total_tokens = serializers.IntegerField(allow_null=True)


class JobDetail(JobShape):
    """A job with its extensions, which are null when absent."""

    openai_job = serializers.SerializerMethodField()
    usage = serializers.SerializerMethodField()
    attempts = AttemptShape(many=True)
    error = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta(JobShape.Meta):
        fields = (*JobShape.Meta.fields, "openai_job", "usage", "attempts", "error", "warnings")

    @extend_schema_field(OpenAIJobShape(allow_null=True))
    def get_openai_job(self, job: AIJob) -> dict[str, Any] | None:
        beside = getattr(job, "openai_job", None)
        if beside is None:
            return None
        usage = getattr(job, "usage", None)
        beside.prompt_tokens = usage.input_tokens if usage else None
        beside.completion_tokens = usage.output_tokens if usage else None
        beside.total_tokens = usage.total_tokens if usage else None
        return dict(OpenAIJobShape(beside).data)

    @extend_schema_field(UsageShape(allow_null=True))
    def get_usage(self, job: AIJob) -> dict[str, Any] | None:
        usage = getattr(job, "usage", None)
        return None if usage is None else dict(UsageShape(usage).data)

    @extend_schema_field(outcomes.ERROR)
    def get_error(self, job: AIJob) -> dict[str, Any] | None:
        """The error as its surface would have told it."""
        if job.error is None:
            return None
        error = errors.restore(job.error)
        return {
            "error_code": error.code,
            "detail": error.text(gettext(error.message)),
            "retryable": error.retryable,
            **error.facts,
        }

    @extend_schema_field(outcomes.WARNINGS)
    def get_warnings(self, job: AIJob) -> list[dict[str, Any]]:
        """What the job was warned of, in the reader's language."""
        return [{**told, "message": said(told["message"], gettext)} for told in warnings_of_row(job)]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A chat completion",
            {
                "job_type": "chat_completion",
                "input_data": {
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": "Say hello."}],
                },
            },
            request_only=True,
        )
    ]
)
class NewJob(Strict):
    """The body of ``POST /ai/jobs/``."""

    job_type = serializers.CharField(max_length=60)
    priority = serializers.ChoiceField(choices=AIJob.Priority.choices, default="normal")
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)
    input_data = serializers.DictField()
    is_async = serializers.BooleanField(default=True)


class ChangedJob(Strict):
    """The body of PUT and PATCH; what is absent stays."""

    priority = serializers.ChoiceField(choices=AIJob.Priority.choices, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    input_data = serializers.DictField(required=False)
    progress_percentage = serializers.IntegerField(required=False, min_value=0, max_value=100)


class CancelledJob(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    job_id = serializers.CharField()
    status = serializers.CharField()
    cancelled_at = serializers.DateTimeField(allow_null=True)


class Cancelled(serializers.Serializer[Any]):
    """What cancelling a job came to."""

    message = serializers.CharField()
    job = CancelledJob()


BEING_CANCELLED = OpenApiExample(
    "A job that runs",
    {
        "message": "The job is being cancelled",
        "job": {"id": 17, "job_id": "ai_job_5f0c954e4f4e9c2a", "status": "running", "cancelled_at": None},
    },
    response_only=True,
    status_codes=["202"],
)
