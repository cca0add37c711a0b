"""``/ai/openai/chat/``: now, later, or as a stream; and the models it takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from ai_core import pipeline, selectors
from ai_core.services.job import Job, Order, task_id_of
from ai_openai.api import answers, documents, replays
from ai_openai.api.outcomes import Outcome
from ai_openai.domain import chat, listing
from ai_openai.domain.chat import sse
from ai_providers import selectors as providers
from megahub.kernel import body, clock, loop
from megahub.kernel.requests import json_response, say
from megahub.kernel.text import Text
from megahub.tenancy import idempotency
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.idempotency import Replay
from megahub.tenancy.selectors import Caller

JOB_TYPE = "chat_completion"
ROUTE = "ai-openai-chat"


@documents.CHAT_MODELS
@documents.CHAT
@for_caller(GET=None, POST="inference")
async def chat_view(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """GET: the models with their facts. POST: a chat completion."""
    if request.method == "GET":
        return json_response(await loop.in_thread(models))
    order = _order(request, caller)
    job = await pipeline.submit(order)
    if isinstance(job, Replay):
        return await _replayed(request, caller, job)
    if job.is_async:
        content = await _later(request, job.job_ref, job.order.model, job.created_at, job.reasoning_effort)
        return answers.of_job(request, job, content, 202)
    if job.call.stream:
        return answers.stream_of_job(request, job, _events(request, job))
    await pipeline.run(job)
    return answers.of_job(request, job, _whole(request, Outcome.of_job(job)))


def _order(request: HttpRequest, caller: Caller) -> Order:
    asked = chat.parse(body.json_object(request.body), settings.AI_DEFAULT_MODEL)
    return Order(
        caller=caller,
        job_type=JOB_TYPE,
        endpoint="chat",
        model=asked.model,
        body=asked.params,
        input_json=request.body,
        with_defaults=True,
        later=asked.later or request.GET.get("async", "").lower() in ("true", "1"),
        priority=asked.priority,
        description=asked.description,
        idempotency=idempotency.of(request, caller, ROUTE),
    )


async def _replayed(request: HttpRequest, caller: Caller, replay: Replay) -> HttpResponseBase:
    row = await replays.job_of(replay, caller)
    outcome = Outcome.of_row(row)
    if row.is_async:
        content = await _later(request, row.job_id, row.model, row.created_at, outcome.reasoning_effort)
        return answers.of_row(request, row, content, 202)
    if row.input_data.get("stream"):
        return answers.stream_of_row(request, row, _replayed_events(request, outcome))
    return answers.of_row(request, row, _whole(request, outcome))


def _whole(request: HttpRequest, outcome: Outcome) -> dict[str, Any]:
    content = outcome.as_chat()
    content["warnings"] = answers.worded(request, outcome.warnings)
    return content


async def _later(
    request: HttpRequest, job_ref: str, model: str, accepted_at: datetime, effort: str | None
) -> dict[str, Any]:
    """The answer for a job that a worker will run."""
    kind = await selectors.job_type(JOB_TYPE)
    expected = accepted_at + timedelta(seconds=kind.estimated_duration_seconds)
    return {
        "job_id": job_ref,
        "status": "async",
        "task_id": task_id_of(job_ref),
        "message": say(request, Text("Job started asynchronously with {model}", model=model)),
        "estimated_completion": clock.iso(expected),
        "reasoning_effort": effort,
    }


async def _events(request: HttpRequest, job: Job) -> AsyncGenerator[bytes]:
    """``job``, then ``delta`` events, then ``done`` with the answer as it would be without streaming."""
    yield sse({"type": "job", "job_id": job.job_ref, "model": job.terms.spec.id})
    async with aclosing(pipeline.execute(job)) as chunks:  # type: ignore[type-var]
        async for data in chunks:
            if not data:
                yield chat.KEEP_ALIVE
            for event in chat.deltas(data):
                yield sse(event)
    yield sse({"type": "done", **_whole(request, Outcome.of_job(job))})


async def _replayed_events(request: HttpRequest, outcome: Outcome) -> AsyncGenerator[bytes]:
    yield sse({"type": "job", "job_id": outcome.job_ref, "model": outcome.model})
    for data in chat.replayed_chunks(outcome.response or {"choices": []}):
        for event in chat.deltas(data):
            yield sse(event)
    yield sse({"type": "done", **_whole(request, outcome)})


def models() -> dict[str, Any]:
    """The chat models that clients know, the retired ones marked, with a guide to choosing."""
    today = clock.now().date()
    known = [(spec, price) for spec, price in providers.listing() if spec.kind == "chat"]
    current = [spec for spec, _ in known if not spec.is_retired(today)]
    usd = {
        spec.id: price.rates["output"] * providers.rate_of(price.currency, today).usd
        for spec, price in known
        if price is not None and "output" in price.rates
    }
    return {
        "models": [listing.long_form(spec, price, today) for spec, price in known],
        "generation_info": listing.generation_info([spec for spec, _ in known]),
        "selection_guide": listing.selection_guide(current, usd),
        "default_model": settings.AI_DEFAULT_MODEL,
    }
