"""``GET /ai/openai/completion/job_result/``: what clients poll."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_core import selectors
from ai_core.api.outcomes import ErrorField, ResultField
from ai_core.domain.states import ENDS
from ai_openai.api.outcomes import Outcome
from megahub.kernel import clock
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.shapes import refuse_unknown
from megahub.kernel.text import Text
from megahub.tenancy.authentication import HasScope, caller_of


class JobState(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    job_id = serializers.CharField()
    status = serializers.CharField()
    model = serializers.CharField()
    progress_percentage = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    execution_time_ms = serializers.IntegerField(allow_null=True)
    sandbox = serializers.BooleanField()


class ShortUsage(serializers.Serializer[Any]):
    """``cost_usd`` in whole USD, null while it is unknown."""

    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(allow_null=True)


class ResultShape(serializers.Serializer[Any]):
    """Result, usage and error are null until the job has ended."""

    job = JobState()
    result = ResultField(allow_null=True)
    usage = ShortUsage(allow_null=True)
    error = ErrorField(allow_null=True)


class JobResult(APIView):
    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "jobs:read"}

    @extend_schema(
        parameters=[OpenApiParameter("job_id", str, required=True)],
        responses=ResultShape,
        tags=["openai"],
    )
    def get(self, request: Request) -> Response:
        """A job's state, and once it has ended its result, usage and error."""
        refuse_unknown(request.query_params, ("job_id",), in_query=True)
        ref = request.query_params.get("job_id", "")
        if not ref:
            text = Text("This field is required.")
            raise ValidationFailed(field_errors={"job_id": [text]}, param="job_id")
        row = selectors.job_of(caller_of(request).company_id, caller_of(request).require_brand(), ref)
        outcome = Outcome.of_row(row)
        ended = row.status in ENDS
        return Response(
            {
                "job": {
                    "id": row.pk,
                    "job_id": row.job_id,
                    "status": row.status,
                    "model": row.model,
                    "progress_percentage": row.progress_percentage,
                    "created_at": clock.iso(row.created_at),
                    "started_at": clock.iso(row.started_at),
                    "completed_at": clock.iso(row.completed_at),
                    "execution_time_ms": row.execution_time_ms,
                    "sandbox": row.sandbox,
                },
                "result": outcome.result,
                "usage": outcome.usage if ended else None,
                "error": _error(outcome),
            }
        )


def _error(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.error is None:
        return None
    detail = outcome.error.text(gettext(outcome.error.message))
    return {"detail": detail, "error_code": outcome.error.code, **outcome.error.facts}
