"""From a request's body to an order, and on: what ``/ai/jobs/`` and the surfaces above it share."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request

from ai_core import pipeline
from ai_core.domain import kinds
from ai_core.models import AIJob
from ai_core.services import edit
from ai_core.services.job import Job, Order
from ai_usage.services import rates
from megahub.kernel import body as bodies
from megahub.kernel import loop, trail
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import Text
from megahub.tenancy import idempotency
from megahub.tenancy.authentication import caller_of
from megahub.tenancy.idempotency import Replay


def order_of(request: Request, asked: dict[str, Any], route: str | None = "ai-jobs") -> Order:
    """The order of ``{job_type, input_data, priority, description, is_async}``.

    Raises JobTypeNotFound, ModelNotSupportedHere or ValidationFailed. ``route`` is the
    Idempotency-Key's; without one there is none.
    """
    kind = kinds.find(asked["job_type"])
    model, body = kinds.body_of(kind, asked["input_data"], settings.AI_DEFAULT_MODEL)
    if not isinstance(body.pop("stream", None), bool | None):
        raise ValidationFailed(
            field_errors={"stream": [Text("Expected {types}.", types="boolean")]}, param="stream"
        )
    assert kind.endpoint is not None
    claim = route and idempotency.of(request._request, caller_of(request), route)
    return Order(
        caller=caller_of(request),
        job_type=kind.name,
        endpoint=kind.endpoint,
        model=model,
        body=body,
        input_json=bodies.dumps(asked["input_data"]),
        with_defaults=True,
        later=asked["is_async"],
        priority=asked["priority"],
        description=asked["description"],
        idempotency=claim or None,
    )


def submit(order: Order) -> tuple[str, dict[str, str]]:
    """Accept a job; one that is not for later is run before the answer: its ref, and headers to send."""
    result = loop.run(_submitted(order))
    if isinstance(result, Replay):
        return result.job_ref, {"Idempotency-Replayed": "true"}
    return str(result.pk), rates.headers(result.taken)


async def _submitted(order: Order) -> Job | Replay:
    job = await pipeline.submit(order)
    if isinstance(job, Job) and not job.is_async:
        await pipeline.finish(job)
    return job


def change(request: Request, job: AIJob, changes: dict[str, Any]) -> None:
    """Apply a PUT or PATCH. Raises JobNotEditable, or what is wrong with a new input."""
    edit.check(job, changes)
    if "input_data" in changes:
        asked = {"job_type": job.job_type.name, "priority": job.priority, **changes}
        order = order_of(request, {"description": "", "is_async": True, **asked})
        told = trail.about(request, "job.amend", job)
        told.before, told.after = trail.difference(
            trail.facts(job), {**(trail.facts(job) or {}), **_told(changes)}
        )
        loop.run(pipeline.amend(order, job.pk, job.revision, told))
        edit.change(job, changes)
        return
    with trail.change(request, "job.change", job):
        edit.change(job, changes)


def _told(changes: dict[str, Any]) -> dict[str, Any]:
    """An amendment in the audit trail: that the input is another one, not what it says."""
    plain: dict[str, Any] = {name: changes[name] for name in ("description", "priority") if name in changes}
    return {**plain, "input_data": "changed"}


def delete(request: Request, job: AIJob) -> None:
    """Take a job out of sight. Raises JobRunning."""
    edit.end_pending(job)
    with trail.change(request, "job.delete", job):
        edit.delete(job)
