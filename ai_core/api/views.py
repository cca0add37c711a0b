"""``/ai/job-types/`` and ``/ai/jobs/``: DRF, ordinary lane."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from ai_core import pipeline, selectors
from ai_core.api import feedback as feedbacks
from ai_core.api import orders, overviews, previews
from ai_core.api import serializers as shapes
from ai_core.api.filters import ORDERING, JobFilters
from ai_core.models import AIJob, AIJobType
from ai_core.selectors import dashboard
from ai_providers import selectors as providers
from ai_usage.api.pages import CostPages
from ai_usage.services import ratings
from megahub.kernel import clock, loop, trail
from megahub.kernel.errors import (
    Conflict,
    JobNotCancellable,
    JobNotEditable,
    JobRunning,
    JobTypeNotFound,
    ModelNotSupportedHere,
)
from megahub.kernel.openapi import KEY_PARAMETER
from megahub.kernel.pagination import Pages
from megahub.kernel.refusals import PROVIDER, SPENDING, named
from megahub.kernel.requests import with_headers
from megahub.kernel.shapes import read
from megahub.kernel.snapshot import snapshot
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.replaying import ITS_OWN, Idempotent

#: What changing a job may meet: its new input is checked and estimated like a new job's.
CHANGES = named(JobNotEditable, JobTypeNotFound, ModelNotSupportedHere, *SPENDING)


class JobTypes(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[AIJobType]):
    """The types of jobs, a bare array."""

    queryset = AIJobType.objects.all()
    serializer_class = shapes.JobTypeShape
    pagination_class = None


@extend_schema(tags=["jobs"])
class Jobs(Idempotent, mixins.ListModelMixin, viewsets.GenericViewSet[AIJob]):
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
    pagination_class = CostPages
    lookup_field = "ref"
    lookup_value_regex = r"[A-Za-z0-9_]{1,40}"
    without = {
        "create": ITS_OWN,
        "cancel": "a job that has ended refuses it",
        "validate": "a dry run",
    }

    def get_queryset(self) -> QuerySet[AIJob]:
        caller = caller_of(self.request)
        return selectors.jobs_of(caller.company_id).filter(brand_id=caller.require_brand())

    def _job(self) -> AIJob:
        caller = caller_of(self.request)
        return selectors.job_of(caller.company_id, caller.require_brand(), self.kwargs["ref"])

    def _detail(self, code: int = status.HTTP_200_OK) -> Response:
        with snapshot():
            return Response(shapes.JobDetail(self._job()).data, status=code)

    @extend_schema(parameters=[overviews.DashboardQuery], responses=overviews.DashboardShape, filters=False)
    @action(detail=False, pagination_class=None)
    def dashboard(self, request: Request) -> Response:
        """The brand's jobs counted; costs and days are of the last ``days``, in the company's zone."""
        asked, caller = read(overviews.DashboardQuery, request.query_params), caller_of(request)
        sandbox = asked["sandbox"]
        if sandbox is None:
            sandbox = providers.plays(caller.company_id)
        return Response(overviews.dashboard_of(caller, asked["days"], sandbox))

    @extend_schema(
        parameters=[overviews.StatusQuery, overviews.STATUS],
        responses=overviews.ByStatusShape(many=False),
        filters=False,
    )
    @action(detail=False, pagination_class=None)
    def by_status(self, request: Request) -> Response:
        """The brand's jobs in one status, newest first: a page of them, and how many there are."""
        status_asked = overviews.status_of(read(overviews.StatusQuery, request.query_params))
        caller, pages = caller_of(request), Pages()
        jobs = selectors.in_status(self.get_queryset(), status_asked)
        pages.known_count = dashboard.in_status(caller.company_id, caller.require_brand(), status_asked)
        rows = shapes.JobShape(pages.paginate_queryset(jobs, request), many=True).data
        return Response({"jobs": rows, "count": pages.page.paginator.count})

    @extend_schema(request=shapes.NewJob, responses=previews.PreviewShape)
    @action(detail=False, methods=["post"])
    def validate(self, request: Request) -> Response:
        """A dry run of ``POST /ai/jobs/``: what would be wrong, sent, used, paid and refused."""
        return Response(previews.previewed(request))

    @extend_schema(responses=shapes.JobDetail)
    def retrieve(self, request: Request, ref: str) -> Response:
        """A job with its extensions and attempts."""
        return self._detail()

    @extend_schema(
        request=shapes.NewJob,
        parameters=[KEY_PARAMETER],
        responses={201: shapes.JobDetail},
        extensions=named(*PROVIDER, *SPENDING, JobTypeNotFound, ModelNotSupportedHere),
    )
    def create(self, request: Request) -> Response:
        """Accept a job; a worker runs it (``is_async: false``: before the answer)."""
        shape = shapes.NewJob(data=request.data)
        shape.is_valid(raise_exception=True)
        self.kwargs["ref"], headers = orders.submit(orders.order_of(request, shape.validated_data))
        return with_headers(self._detail(status.HTTP_201_CREATED), headers)

    @extend_schema(request=shapes.ChangedJob, responses=shapes.JobDetail, extensions=CHANGES)
    def update(self, request: Request, ref: str) -> Response:
        """Change description and priority; input_data while pending; progress while running."""
        shape = shapes.ChangedJob(data=request.data)
        shape.is_valid(raise_exception=True)
        orders.change(request, self._job(), shape.validated_data)
        return self._detail()

    @extend_schema(request=shapes.ChangedJob, responses=shapes.JobDetail, extensions=CHANGES)
    def partial_update(self, request: Request, ref: str) -> Response:
        """The same as PUT: what is absent stays."""
        return self.update(request, ref)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")}, extensions=named(JobRunning))
    def destroy(self, request: Request, ref: str) -> Response:
        """Delete a job that is not running: its texts go, its usage and costs stay."""
        orders.delete(request, self._job())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=None,
        responses={
            200: OpenApiResponse(shapes.Cancelled, description="Cancelled."),
            202: OpenApiResponse(
                shapes.Cancelled,
                description="It runs; its process will let go of it.",
                examples=[shapes.BEING_CANCELLED],
            ),
        },
        extensions=named(JobNotCancellable),
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, ref: str) -> Response:
        """Cancel a job: at once while pending; a running one as soon as its call is closed."""
        found = self._job()
        entry = trail.about(request, "job.cancel", found)
        accepted = loop.run(pipeline.cancel(found.pk, found.company_id, entry))
        job = self._job()
        if not accepted or job.status not in ("cancelled", "running"):
            raise JobNotCancellable(current_status=job.status)
        told = {
            "id": job.pk,
            "job_id": job.job_id,
            "status": job.status,
            "cancelled_at": clock.iso(job.cancelled_at) if job.cancelled_at else None,
        }
        if job.status == "running":  # its process has not let go yet, and will
            return Response({"message": _("The job is being cancelled"), "job": told}, status=202)
        return Response({"message": _("Job cancelled successfully"), "job": told})

    @extend_schema(
        request=feedbacks.Feedback,
        responses={200: feedbacks.FeedbackShape, 201: feedbacks.FeedbackShape},
        extensions=named(Conflict),
    )
    @action(detail=True, methods=["post"])
    def feedback(self, request: Request, ref: str) -> Response:
        """Rate a job that has ended; again to change one's mind. It feeds the model's quality_score."""
        asked, job, caller = read(feedbacks.Feedback, request.data), self._job(), caller_of(request)
        tenths = int(asked["score"] * 10)
        with trail.change(request, "job.rate", kind="ai_usage.jobrating", object_id=job.job_id) as change:
            rated = ratings.rate(job.company_id, job.pk, caller.user_id, tenths, asked["comment"])
            change.after = {"score_tenths": rated.rating.score_tenths}
        code = status.HTTP_201_CREATED if rated.is_first else status.HTTP_200_OK
        return Response(feedbacks.told(job, rated), status=code)

    @extend_schema(responses=feedbacks.RatingsShape)
    @feedback.mapping.get
    def feedback_given(self, request: Request, ref: str) -> Response:
        """What people said of a job: the caller's own rating, everybody's, and their mean."""
        return Response(feedbacks.everybodys(self._job(), caller_of(request).user_id))
