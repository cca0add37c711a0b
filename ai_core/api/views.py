"""``/ai/job-types/`` and ``/ai/jobs/``: DRF, ordinary lane."""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_core import pipeline, selectors
from ai_core.api import serializers as shapes
from ai_core.api.filters import ORDERING, JobFilters
from ai_core.domain import kinds
from ai_core.models import AIJob, AIJobType
from ai_core.services import edit
from ai_core.services.job import Order
from ai_usage.services import ratings
from megahub.kernel import loop
from megahub.kernel.errors import JobNotCancellable, JobNotEditable, JobTypeNotFound
from megahub.tenancy import idempotency
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.idempotency import Replay


class JobTypes(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[AIJobType]):
    """The types of jobs, a bare array."""

    queryset = AIJobType.objects.all()
    serializer_class = shapes.JobTypeShape
    pagination_class = None


@extend_schema(tags=["jobs"])
class Jobs(mixins.ListModelMixin, viewsets.GenericViewSet[AIJob]):
    """The brand's jobs. ``{id}`` is the number or the job_id."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {
        "GET": "jobs:read",
        "POST": "jobs:write",
        "PUT": "jobs:write",
        "PATCH": "jobs:write",
        "DELETE": "jobs:write",
    }
    queryset = AIJob.rows.none()
    serializer_class = shapes.JobShape
    filterset_class = JobFilters
    ordering_fields = ORDERING
    lookup_field = "ref"
    lookup_value_regex = r"[A-Za-z0-9_]{1,40}"

    def get_queryset(self) -> QuerySet[AIJob]:
        caller = caller_of(self.request)
        return selectors.jobs_of(caller.company_id).filter(brand_id=caller.require_brand())

    def _job(self) -> AIJob:
        caller = caller_of(self.request)
        return selectors.job_of(caller.company_id, caller.require_brand(), self.kwargs["ref"])

    def _detail(self, job: AIJob, code: int = status.HTTP_200_OK) -> Response:
        return Response(shapes.JobDetail(job).data, status=code)

    @extend_schema(responses=shapes.JobDetail)
    def retrieve(self, request: Request, ref: str) -> Response:
        """A job with its extensions and attempts."""
        return self._detail(self._job())

    @extend_schema(request=shapes.NewJob, responses={201: shapes.JobDetail})
    def create(self, request: Request) -> Response:
        """Accept a job; a worker runs it (``is_async: false``: before the answer)."""
        shape = shapes.NewJob(data=request.data)
        shape.is_valid(raise_exception=True)
        asked = shape.validated_data
        result = loop.run(_submitted(self._order(request, asked)))
        replayed = isinstance(result, Replay)
        self.kwargs["ref"] = result.job_ref if isinstance(result, Replay) else str(result)
        response = self._detail(self._job(), status.HTTP_201_CREATED)
        if replayed:
            response["Idempotency-Replayed"] = "true"
        return response

    @staticmethod
    def _order(request: Request, asked: dict[str, Any]) -> Order:
        kind = kinds.KINDS.get(asked["job_type"])
        if kind is None:
            raise JobTypeNotFound(
                param="job_type",
                suggestions=sorted(kinds.KINDS),
                words={"job_type": asked["job_type"]},
            )
        model, body = kinds.body_of(kind, asked["input_data"], settings.AI_DEFAULT_MODEL)
        body.pop("stream", None)
        assert kind.endpoint is not None
        return Order(
            caller=caller_of(request),
            job_type=kind.name,
            endpoint=kind.endpoint,
            model=model,
            body=body,
            input_json=orjson.dumps(asked["input_data"]),
            with_defaults=True,
            later=asked["is_async"] or kind.requires_async,
            priority=asked["priority"],
            description=asked["description"],
            idempotency=idempotency.of(request._request, caller_of(request).company_id, "ai-jobs"),
        )

    @extend_schema(request=shapes.ChangedJob, responses=shapes.JobDetail)
    def update(self, request: Request, ref: str) -> Response:
        """Change description and priority; input_data while pending; progress while running."""
        shape = shapes.ChangedJob(data=request.data)
        shape.is_valid(raise_exception=True)
        job, changes = self._job(), shape.validated_data
        if "input_data" in changes:
            if job.status != "pending":
                raise JobNotEditable(words={"fields": "input_data"}, current_status=job.status)
            asked = {"job_type": job.job_type.name, "priority": job.priority, **changes}
            order = self._order(request, {"description": "", "is_async": True, **asked})
            loop.run(pipeline.amend(order, job.pk, job.revision))
        edit.change(job, changes)
        return self._detail(self._job())

    @extend_schema(request=shapes.ChangedJob, responses=shapes.JobDetail)
    def partial_update(self, request: Request, ref: str) -> Response:
        """The same as PUT: what is absent stays."""
        return self.update(request, ref)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")})
    def destroy(self, request: Request, ref: str) -> Response:
        """Delete a job that is not running: its texts go, its usage and costs stay."""
        edit.delete(self._job())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: OpenApiResponse(description="Cancelled.")})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, ref: str) -> Response:
        """Cancel a job: at once while pending; a running one as soon as its call is closed."""
        found = self._job()
        accepted = loop.run(pipeline.cancel(found.pk, found.company_id))
        job = self._job()
        if not accepted or job.status not in ("cancelled", "running"):
            raise JobNotCancellable(current_status=job.status)
        return Response(
            {
                "message": "Job cancelled successfully",
                "job": {
                    "id": job.pk,
                    "job_id": job.job_id,
                    "status": job.status,
                    "cancelled_at": job.cancelled_at,
                },
            }
        )

    @extend_schema(
        request=shapes.Feedback, responses={200: shapes.FeedbackShape, 201: shapes.FeedbackShape}
    )
    @action(detail=True, methods=["post"])
    def feedback(self, request: Request, ref: str) -> Response:
        """Rate a job that has ended; again to change one's mind. It feeds the model's quality_score."""
        shape = shapes.Feedback(data=request.data)
        shape.is_valid(raise_exception=True)
        job, caller, told = self._job(), caller_of(request), shape.validated_data
        tenths = int(told["score"] * 10)
        rated = ratings.rate(job.company_id, job.pk, caller.user_id, tenths, told["comment"])
        code = status.HTTP_201_CREATED if rated.is_first else status.HTTP_200_OK
        return Response(
            {
                "job_id": job.job_id,
                "score": rated.rating.score_tenths / 10,
                "comment": rated.rating.comment,
                "quality_score": ratings.quality_of(job.company_id, job.pk),
                "created_at": rated.rating.created_at,
                "updated_at": rated.rating.updated_at,
            },
            status=code,
        )


async def _submitted(order: Order) -> int | Replay:
    """Accept a job; one that is not for later is run before the answer, whatever comes of it."""
    job = await pipeline.submit(order)
    if isinstance(job, Replay):
        return job
    if not job.is_async:
        await pipeline.finish(job)
    return job.pk
