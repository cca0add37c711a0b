"""``/ai/batch-analysis/``: many contents, one job each."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_core.api import orders
from ai_core.api.outcomes import ResultField
from ai_core.api.serializers import JobShape
from ai_core.domain import analysis
from ai_core.domain.analysis import ANALYSES, MOST_CONTENTS, Analysis
from ai_core.models import AIBatch, AIJob, BatchJob
from ai_core.selectors import batches
from ai_core.services import batches as accepting
from megahub.kernel import loop, money
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.openapi import KEY_PARAMETER
from megahub.kernel.refusals import SPENDING, named
from megahub.kernel.shapes import Strict, read
from megahub.kernel.text import Text
from megahub.tenancy import idempotency
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import ITS_OWN, Idempotent

ROUTE = "batch-analysis"


class NewBatch(Strict):
    """The body: what to analyse, and how. ``instructions`` take the place of the type's own."""

    contents = serializers.ListField(
        child=serializers.CharField(max_length=1_000_000), min_length=1, max_length=MOST_CONTENTS
    )
    analysis_type = serializers.CharField(max_length=40)
    model = serializers.CharField(required=False, max_length=120)
    priority = serializers.ChoiceField(choices=AIJob.Priority.choices, default="normal")
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)
    instructions = serializers.CharField(default="", allow_blank=True, max_length=20_000)


class BatchPlace(serializers.Serializer[Any]):
    job_id = serializers.CharField()
    openai_job_id = serializers.IntegerField()
    content_preview = serializers.CharField()


class BatchShape(serializers.Serializer[Any]):
    batch_id = serializers.CharField()
    analysis_type = serializers.CharField()
    model = serializers.CharField()
    total_jobs = serializers.IntegerField()
    jobs = BatchPlace(many=True)
    estimated_cost = serializers.CharField()
    estimated_tokens = serializers.IntegerField()
    sandbox = serializers.BooleanField()


class BatchJobState(serializers.Serializer[Any]):
    job_id = serializers.CharField()
    status = serializers.CharField()
    progress = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)
    tokens = serializers.IntegerField(allow_null=True)


class BatchStatusShape(serializers.Serializer[Any]):
    batch_id = serializers.CharField()
    total_jobs = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    running = serializers.IntegerField()
    pending = serializers.IntegerField()
    progress_percentage = serializers.IntegerField()
    total_cost = serializers.CharField(allow_null=True)
    is_complete = serializers.BooleanField()
    jobs = BatchJobState(many=True)


class BatchResult(BatchJobState):
    content_preview = serializers.CharField()
    result = ResultField(allow_null=True)
    error_message = serializers.CharField(allow_null=True)


class BatchResultsShape(serializers.Serializer[Any]):
    batch_id = serializers.CharField()
    analysis_type = serializers.CharField()
    total_jobs = serializers.IntegerField()
    is_complete = serializers.BooleanField()
    total_cost = serializers.CharField(allow_null=True)
    results = BatchResult(many=True)


class BatchAnalyses(Idempotent, APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"POST": "jobs:write"}
    without = {"post": ITS_OWN}

    @extend_schema(
        operation_id="batch_analysis_create",
        request=NewBatch,
        parameters=[KEY_PARAMETER],
        responses={201: BatchShape},
        extensions=named(*SPENDING),
        tags=["batches"],
    )
    def post(self, request: Request) -> Response:
        """Accept every content as a job, or none of them: checked, estimated and held together."""
        asked, caller = read(NewBatch, request.data), caller_of(request)
        kind = _kind(asked["analysis_type"])
        model = asked.get("model") or settings.AI_DEFAULT_MODEL
        made = [
            orders.order_of(
                request,
                {
                    "job_type": kind.job_type,
                    "input_data": analysis.input_data(kind, model, content, asked["instructions"]),
                    "priority": asked["priority"],
                    "description": asked["description"],
                    "is_async": True,
                },
                route=None,
            )
            for content in asked["contents"]
        ]
        claim = idempotency.of(request._request, caller, ROUTE)
        ref, replayed = loop.run(
            accepting.submit(made, asked["analysis_type"], asked["description"], claim)
        )
        batch = batches.batch_of(caller.company_id, caller.require_brand(), ref)
        told = {"Idempotency-Replayed": "true"} if replayed else None
        content = _accepted(batch, list(batches.places_of(batch)))
        return Response(content, status=201, headers=told)


class BatchStatus(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "jobs:read"}

    @extend_schema(operation_id="batch_analysis_status", responses=BatchStatusShape, tags=["batches"])
    def get(self, request: Request, batch_id: str) -> Response:
        """How far the batch is, and what it has cost so far: what the page polls."""
        batch, places = _found(request, batch_id)
        return Response(
            {
                "batch_id": batch.batch_id,
                "total_jobs": batch.total_jobs,
                **_shown(batches.progress(places)),
                "jobs": [_state(place.job) for place in places],
            }
        )


class BatchResults(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "jobs:read"}

    @extend_schema(operation_id="batch_analysis_results", responses=BatchResultsShape, tags=["batches"])
    def get(self, request: Request, batch_id: str) -> Response:
        """What every content came to, in their order; null for those that have not ended."""
        batch, places = _found(request, batch_id)
        progress = _shown(batches.progress(places))
        return Response(
            {
                "batch_id": batch.batch_id,
                "analysis_type": batch.analysis_type,
                "total_jobs": batch.total_jobs,
                "is_complete": progress["is_complete"],
                "total_cost": progress["total_cost"],
                "results": [_result(place.job) for place in places],
            }
        )


def _kind(name: str) -> Analysis:
    """Raises ValidationFailed with the known types."""
    if name not in ANALYSES:
        choices = sorted(ANALYSES)
        text = Text("Must be one of {choices}.", choices=choices)
        raise ValidationFailed(
            field_errors={"analysis_type": [text]}, param="analysis_type", suggestions=choices
        )
    return ANALYSES[name]


def _found(request: Request, ref: str) -> tuple[AIBatch, list[BatchJob]]:
    caller = caller_of(request)
    batch = batches.batch_of(caller.company_id, caller.require_brand(), ref)
    return batch, list(batches.places_of(batch))


def _accepted(batch: AIBatch, places: list[BatchJob]) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "analysis_type": batch.analysis_type,
        "model": batch.model,
        "total_jobs": batch.total_jobs,
        "jobs": [
            {
                "job_id": place.job.job_id,
                "openai_job_id": place.job.pk,
                "content_preview": _preview(place.job),
            }
            for place in places
        ],
        "estimated_cost": money.show(batch.estimated_nano_usd),
        "estimated_tokens": batch.estimated_tokens,
        "sandbox": batch.sandbox,
    }


def _preview(job: AIJob) -> str:
    """Empty for a job whose texts were deleted."""
    messages = job.input_data.get("messages") or [{"content": ""}]
    return analysis.preview(str(messages[-1]["content"]))


def _shown(progress: dict[str, Any]) -> dict[str, Any]:
    return {**progress, "total_cost": money.show(progress["total_cost"])}


def _state(job: AIJob) -> dict[str, Any]:
    usage = getattr(job, "usage", None)
    return {
        "job_id": job.job_id,
        "status": job.status,
        "progress": job.progress_percentage,
        "cost": money.show(usage.total_cost_nano_usd) if usage else None,
        "tokens": usage.total_tokens if usage else None,
    }


def _result(job: AIJob) -> dict[str, Any]:
    shape = JobShape()
    return {
        **_state(job),
        "content_preview": _preview(job),
        "result": shape.get_result_data(job),
        "error_message": shape.get_error_message(job),
    }
