"""``/ai/openai/jobs/``: the brand's jobs as OpenAI's words have them. DRF, ordinary lane."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_core import selectors as jobs
from ai_core.api import orders
from ai_core.models import AIJob
from ai_openai import selectors
from ai_openai.api import documents
from ai_openai.api import job_shapes as shapes
from ai_openai.api.job_filters import ORDERING, OpenAIJobFilters
from ai_openai.domain import chat
from ai_openai.models import OpenAIJob
from ai_usage.api.pages import CostPages
from megahub.kernel.errors import JobNotEditable, JobRunning, ValidationFailed
from megahub.kernel.openapi import KEY_PARAMETER
from megahub.kernel.refusals import SPENDING, named
from megahub.kernel.requests import with_headers
from megahub.kernel.shapes import read
from megahub.kernel.text import Text
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import ITS_OWN, Idempotent

JOB_TYPE = "chat_completion"
ROUTE = "ai-openai-jobs"
CHANGES = named(JobNotEditable, *SPENDING)


@extend_schema(tags=["openai"])
class OpenAIJobs(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[OpenAIJob]):
    """Parameters, tokens and cost of the brand's jobs. ``{id}`` is the number or the job_id."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {
        "GET": "jobs:read",
        "POST": "jobs:write",
        "PUT": "jobs:write",
        "PATCH": "jobs:write",
        "DELETE": "jobs:write",
    }
    queryset = OpenAIJob.rows.none()
    serializer_class = shapes.OpenAIJobRow
    filterset_class = OpenAIJobFilters
    ordering_fields = ORDERING
    pagination_class = CostPages
    lookup_field = "ref"
    lookup_value_regex = r"[A-Za-z0-9_]{1,40}"
    without = {"create": ITS_OWN}

    def get_queryset(self) -> QuerySet[OpenAIJob]:
        caller = caller_of(self.request)
        return selectors.jobs_of(caller.company_id, caller.require_brand())

    def _job(self) -> AIJob:
        caller = caller_of(self.request)
        return jobs.job_of(caller.company_id, caller.require_brand(), self.kwargs["ref"])

    def _detail(self, code: int = status.HTTP_200_OK) -> Response:
        row = self.get_queryset().get(pk=self._job().pk)
        return Response(shapes.OpenAIJobWhole(row).data, status=code)

    @extend_schema(responses=shapes.OpenAIJobWhole)
    def retrieve(self, request: Request, ref: str) -> Response:
        """An OpenAI job with its texts, its result and its usage."""
        return self._detail()

    @extend_schema(
        request=documents.CHAT_BODY,
        parameters=[KEY_PARAMETER],
        responses={201: shapes.OpenAIJobWhole},
        extensions=documents.RUNS,
    )
    def create(self, request: Request) -> Response:
        """Accept a chat (the body of ``/ai/openai/chat/``) as a job; a worker runs it.

        With ``"async": false`` it is run before the answer.
        """
        body = _object(request)
        later = body.get("async")
        asked = chat.parse({**body, "async": True if later is None else later}, settings.AI_DEFAULT_MODEL)
        order = orders.order_of(
            request,
            {
                "job_type": JOB_TYPE,
                "input_data": {"model": asked.model, **asked.params},
                "priority": asked.priority,
                "description": asked.description,
                "is_async": asked.later,
            },
            ROUTE,
        )
        self.kwargs["ref"], headers = orders.submit(order)
        return with_headers(self._detail(status.HTTP_201_CREATED), headers)

    @extend_schema(request=documents.CHANGED_BODY, responses=shapes.OpenAIJobWhole, extensions=CHANGES)
    def update(self, request: Request, ref: str) -> Response:
        """Change description and priority; parameters while pending (null takes one away)."""
        body = _object(request)
        own = {str(name) for name in shapes.ChangedParts().fields} & set(body)
        changes = read(shapes.ChangedParts, {name: body[name] for name in own})
        params = {name: value for name, value in body.items() if name not in own}
        job = self._job()
        if params:
            merged = {**job.input_data, **params}
            changes["input_data"] = {name: value for name, value in merged.items() if value is not None}
        orders.change(request, job, changes)
        return self._detail()

    @extend_schema(request=documents.CHANGED_BODY, responses=shapes.OpenAIJobWhole, extensions=CHANGES)
    def partial_update(self, request: Request, ref: str) -> Response:
        """The same as PUT: what is absent stays."""
        return self.update(request, ref)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")}, extensions=named(JobRunning))
    def destroy(self, request: Request, ref: str) -> Response:
        """Delete a job that is not running: its texts go, its usage and costs stay."""
        orders.delete(request, self._job())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _object(request: Request) -> dict[str, Any]:
    """The body, a JSON object. Raises ValidationFailed for anything else."""
    if not isinstance(request.data, dict):
        text = Text("Expected {types}.", types="object")
        raise ValidationFailed(field_errors={"non_field_errors": [text]})
    return dict(request.data)
