"""Answers of calls that run a model: the headers that tell of their job, and streams."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)

from ai_core.models import AIJob
from ai_core.services.job import Job
from ai_core.services.warnings import warnings_of_row
from ai_openai.domain.chat import sse
from ai_usage.services import rates
from megahub.kernel.errors import HubError, ServerError
from megahub.kernel.requests import error_body, json_response, say, with_headers

log = logging.getLogger(__name__)


def of_job(request: HttpRequest, job: Job, content: Any, status: int = 200) -> HttpResponse:
    """A JSON answer about a job of this process."""
    response = json_response(content, status)
    _tell(request, response, job.job_ref, job.terms.is_sandbox, job.warnings)
    return with_headers(response, rates.headers(job.taken))


def of_row(request: HttpRequest, row: AIJob, content: Any, status: int = 200) -> HttpResponse:
    """A JSON answer about a job in the database: the replay of an Idempotency-Key."""
    response = json_response(content, status)
    _tell(request, response, row.job_id, row.sandbox, warnings_of_row(row))
    response["Idempotency-Replayed"] = "true"
    return response


def stream_of_job(request: HttpRequest, job: Job, events: AsyncGenerator[bytes]) -> StreamingHttpResponse:
    """Server-sent events about a job; an error on the way is one last event of the path's surface."""
    response = StreamingHttpResponse(told(request, events), content_type="text/event-stream")
    _tell(request, response, job.job_ref, job.terms.is_sandbox, job.warnings)
    return with_headers(response, rates.headers(job.taken))


def stream_of_row(request: HttpRequest, row: AIJob, events: AsyncGenerator[bytes]) -> StreamingHttpResponse:
    """The replay of a stream."""
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    _tell(request, response, row.job_id, row.sandbox, warnings_of_row(row))
    response["Idempotency-Replayed"] = "true"
    return response


async def told(request: HttpRequest, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The events; what goes wrong is told in the last one. Closes ``events``."""
    try:
        async with aclosing(events) as opened:
            async for event in opened:
                yield event
    except HubError as error:
        yield sse(error_body(request, error))
    except Exception as error:
        log.exception("stream at %s broke", request.path, exc_info=error)
        yield sse(error_body(request, ServerError()))


def _tell(
    request: HttpRequest,
    response: HttpResponseBase,
    job_ref: str,
    sandbox: bool,
    warnings: list[dict[str, Any]],
) -> None:
    response["X-MegaHub-Job-Id"] = job_ref
    if sandbox:
        response["X-MegaHub-Sandbox"] = "true"
    if warnings:
        texts = "; ".join(say(request, warning["message"]) for warning in warnings)
        response["X-MegaHub-Warning"] = _ascii(texts)


def _ascii(text: str) -> str:
    """A header's text: letters lose their accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def worded(request: HttpRequest, warnings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Warnings with their messages in the request's language."""
    return [{**warning, "message": say(request, warning["message"])} for warning in warnings]
