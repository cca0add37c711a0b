"""The OpenAI-compatible ``/v1/…``: what OpenAI's own clients call, unchanged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from django.http import HttpRequest, HttpResponseBase

from ai_core import pipeline
from ai_core.services.job import Job, Order
from ai_openai.api import answers, documents, replays
from ai_openai.domain import chat, listing
from ai_providers import selectors as providers
from ai_providers.domain.wire import Endpoint
from megahub.kernel import body, loop
from megahub.kernel.errors import ModelNotFound
from megahub.kernel.requests import json_response
from megahub.tenancy import idempotency
from megahub.tenancy.authentication import for_caller
from megahub.tenancy.idempotency import Replay
from megahub.tenancy.selectors import Caller


@documents.COMPLETIONS
@for_caller(POST="inference")
async def chat_completions(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``POST /v1/chat/completions``, whole or streamed."""
    job = await pipeline.submit(_order(request, caller, "chat_completion", "chat"))
    if isinstance(job, Replay):
        return await _replayed(request, caller, job)
    if job.call.stream:
        return await _streamed(request, job)
    await pipeline.run(job)
    assert job.completion is not None
    return answers.of_job(request, job, job.completion.body)


@documents.EMBEDDINGS
@for_caller(POST="inference")
async def embeddings(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``POST /v1/embeddings``."""
    job = await pipeline.submit(_order(request, caller, "embeddings", "embeddings"))
    if isinstance(job, Replay):
        return await _replayed(request, caller, job)
    await pipeline.run(job)
    assert job.completion is not None
    return answers.of_job(request, job, job.completion.body)


def _order(request: HttpRequest, caller: Caller, job_type: str, endpoint: Endpoint) -> Order:
    asked = body.json_object(request.body)
    return Order(
        caller=caller,
        job_type=job_type,
        endpoint=endpoint,
        model=chat.model_of(asked),
        body=asked,
        input_json=request.body,
        with_defaults=False,
        now=True,
        idempotency=idempotency.of(request, caller, f"v1-{endpoint}"),
    )


async def _streamed(request: HttpRequest, job: Job) -> HttpResponseBase:
    """A stream begins with its first chunk: what goes wrong before it has a status of its own."""
    chunks = pipeline.execute(job)
    try:
        first = await anext(chunks)
    except StopAsyncIteration:
        return answers.stream_of_job(request, job, _ended())
    rest = chat.openai_stream(_after(first, chunks), include_usage=job.cleaned.include_usage)
    return answers.stream_of_job(request, job, rest)


async def _after(first: chat.Chunk, chunks: AsyncIterator[chat.Chunk]) -> AsyncGenerator[chat.Chunk]:
    async with aclosing(chunks) as rest:  # type: ignore[type-var]
        yield first
        async for data in rest:
            yield data


async def _ended() -> AsyncGenerator[bytes]:
    yield chat.DONE


async def _replayed(request: HttpRequest, caller: Caller, replay: Replay) -> HttpResponseBase:
    row = await replays.job_of(replay, caller)
    if not row.input_data.get("stream"):
        return answers.of_row(request, row, row.response)
    wants_usage = bool((row.input_data.get("stream_options") or {}).get("include_usage"))
    stream = chat.openai_stream(_chunks(row.response or {}), include_usage=wants_usage)
    return answers.stream_of_row(request, row, stream)


async def _chunks(response: chat.Chunk) -> AsyncGenerator[chat.Chunk]:
    for data in chat.replayed_chunks(response):
        yield data


@documents.MODELS
@for_caller(GET=None)
async def models(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """``GET /v1/models``: the models that can be called."""
    specs = await loop.in_thread(providers.callable_models)
    return json_response({"object": "list", "data": [listing.short_form(spec) for spec in specs]})


@documents.MODEL
@for_caller(GET=None)
async def model(request: HttpRequest, caller: Caller, model_id: str) -> HttpResponseBase:
    """``GET /v1/models/{id}``."""
    for spec in await loop.in_thread(providers.callable_models):
        if spec.id == model_id:
            return json_response(listing.short_form(spec))
    raise ModelNotFound(param="model", model=model_id[:120])
