"""``GET /ai/jobs/{id}/events/``: a job's progress as server-sent events, on the hot lane.

Every change of a job raises its revision; an event's id is the revision it tells of, so that
Last-Event-ID says what a client has seen. One query a look serves all the streams of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import translation

from ai_core import selectors
from ai_core.api.serializers import JobDetail
from ai_core.domain.states import ENDS
from ai_core.models import AIJob
from megahub.kernel import loop, scope
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.openapi import operation, stream
from megahub.kernel.requests import language
from megahub.kernel.text import Text
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.selectors import Caller

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": keep-alive\n\n"


@operation(
    "GET",
    operationId="job_events",
    tags=["jobs"],
    summary="A job's progress as server-sent events",
    description=(
        "Events `progress` while the job waits and runs, then one named after its end with the whole job."
        " A client that was cut off says in `Last-Event-ID` what it has seen."
    ),
    parameters=[
        {
            "name": "ref",
            "in": "path",
            "required": True,
            "description": "The job's number or its `job_id`.",
            "schema": {"type": "string"},
        },
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The `id` of the last event that was seen.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 999999999},
        },
    ],
    responses={
        "200": {
            "description": "Events.",
            "content": stream(
                "JSON: `{status, progress_percentage}`; at the end the whole job.",
                "progress",
                *sorted(ENDS),
                numbered=True,
            ),
        },
    },
)
@for_caller(GET="jobs:read")
async def job_events(request: HttpRequest, caller: Caller, ref: str) -> HttpResponseBase:
    """Events ``progress`` while the job waits and runs, then one named after its end."""
    seen = _seen(request)
    brand_id = caller.require_brand()
    job = await loop.in_thread(selectors.job_of, caller.company_id, brand_id, ref)
    events = _events(job.pk, seen, caller, language(request))
    return StreamingHttpResponse(events, content_type="text/event-stream")


def _seen(request: HttpRequest) -> int:
    raw = request.META.get("HTTP_LAST_EVENT_ID", "0")
    if not raw.isdecimal() or len(raw) > 9:
        text = Text("Expected {types}.", types="integer")
        raise ValidationFailed(field_errors={"Last-Event-ID": [text]}, param="Last-Event-ID")
    return int(raw)


async def _events(job_pk: int, seen: int, caller: Caller, said_in: str) -> AsyncIterator[bytes]:
    quiet = 0.0
    with WATCH.watching(job_pk):
        while True:
            state = await WATCH.state(job_pk)
            if state is None:
                return
            revision, status, progress = state
            if status in ENDS:
                job = await loop.in_thread(_whole, job_pk, caller, said_in)
                yield _event(revision, status, job)
                return
            if revision > seen:
                seen, quiet = revision, 0.0
                facts = {"status": status, "progress_percentage": progress}
                yield _event(revision, "progress", facts)
            elif quiet >= HEARTBEAT_SECONDS:
                quiet = 0.0
                yield HEARTBEAT
            await asyncio.sleep(LOOK_SECONDS)
            quiet += LOOK_SECONDS


def _event(number: int, name: str, data: Any) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        number,
        name.encode(),
        orjson.dumps(data, default=str),
    )


def _whole(job_pk: int, caller: Caller, said_in: str) -> Any:
    with translation.override(said_in):
        return JobDetail(selectors.job_of(caller.company_id, caller.require_brand(), str(job_pk))).data


class Watch:
    """The states of all jobs that somebody follows in this process, read together."""

    def __init__(self) -> None:
        self.followers: dict[int, int] = {}
        self.states: dict[int, tuple[int, str, int]] = {}
        self.read_at = 0.0
        self.reading: asyncio.Future[None] | None = None

    def watching(self, job_pk: int) -> Follower:
        """A context in which the job is followed."""
        return Follower(self, job_pk)

    async def state(self, job_pk: int) -> tuple[int, str, int] | None:
        """(revision, status, progress), at most a look old; None for a job that was deleted."""
        running = asyncio.get_running_loop()
        fresh = running.time() - self.read_at < LOOK_SECONDS / 2 and job_pk in self.states
        if not fresh:
            if self.reading is None or self.reading.done() or self.reading.get_loop() is not running:
                self.reading = asyncio.ensure_future(self._read())
            await asyncio.shield(self.reading)
            if job_pk not in self.states:
                await self._read()
        return self.states.get(job_pk)

    async def _read(self) -> None:
        self.states = await loop.in_thread(_states, list(self.followers))
        self.read_at = asyncio.get_running_loop().time()


class Follower:
    """Counts one stream in and out."""

    def __init__(self, watch: Watch, job_pk: int) -> None:
        self.watch = watch
        self.job_pk = job_pk

    def __enter__(self) -> None:
        followers = self.watch.followers
        followers[self.job_pk] = followers.get(self.job_pk, 0) + 1

    def __exit__(self, *_: object) -> None:
        followers = self.watch.followers
        followers[self.job_pk] -= 1
        if not followers[self.job_pk]:
            del followers[self.job_pk]


def _states(pks: list[int]) -> dict[int, tuple[int, str, int]]:
    rows = AIJob.objects.unscoped().filter(pk__in=pks, deleted_at=None)
    values = rows.values_list("pk", "revision", "status", "progress_percentage")
    with scope.everybody():  # each follower has shown that the job is theirs
        return {pk: (revision, status, progress) for pk, revision, status, progress in values}


WATCH = Watch()
