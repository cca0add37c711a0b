"""``/ai/openai/chat/`` and ``/v1/chat/completions``: bodies in, bodies out. Pure.

Sources: reference/megahub-endpoints.md and megahub-shapes.md for the first, OpenAI's specification
for the second.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from ai_core.domain.kinds import JOB_KEYS
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import Text

PRIORITIES = ("low", "normal", "high", "urgent")
DONE = b"data: [DONE]\n\n"
#: A comment, which every reader of server-sent events passes over.
KEEP_ALIVE = b": keep-alive\n\n"

#: A chunk of a stream or a whole response, in OpenAI's shape.
Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChatBody:
    """A request to MEGAHUB's chat, taken apart."""

    model: str
    params: dict[str, Any]
    description: str
    priority: str
    later: bool


def parse(body: dict[str, Any], default_model: str) -> ChatBody:
    """MEGAHUB's chat body. Raises ValidationFailed for fields of the job that are wrong."""
    problems = {}
    model = default_model if body.get("model") is None else body["model"]
    if not isinstance(model, str) or not model:
        problems["model"] = [Text("Expected {types}.", types="string")]
    description = "" if body.get("description") is None else body["description"]
    if not isinstance(description, str):
        problems["description"] = [Text("Expected {types}.", types="string")]
    priority = "normal" if body.get("priority") is None else body["priority"]
    if not isinstance(priority, str) or priority not in PRIORITIES:
        problems["priority"] = [Text("Must be one of {choices}.", choices=list(PRIORITIES))]
    later = False if body.get("async") is None else body["async"]
    if not isinstance(later, bool):
        problems["async"] = [Text("Expected {types}.", types="boolean")]
    if problems:
        raise ValidationFailed(field_errors=problems, param=next(iter(problems)))
    params = {name: value for name, value in body.items() if name not in JOB_KEYS}
    return ChatBody(model, params, description, priority, later)


def model_of(body: dict[str, Any]) -> str:
    """The model of an OpenAI body. Raises ValidationFailed without one."""
    model = body.get("model")
    if isinstance(model, str) and model:
        return model
    text = Text("This field is required.") if model is None else Text("Expected {types}.", types="string")
    raise ValidationFailed(field_errors={"model": [text]}, param="model")


def quality_indicators(response: dict[str, Any]) -> dict[str, Any]:
    """What the provider's answer itself tells of its quality; null where it tells nothing.

    ``reasoning_steps``: the summary parts that the provider returned. ``confidence_score``: the mean
    probability of the answer's tokens, when log-probabilities were asked for.
    """
    first: dict[str, Any] = next(iter(response.get("choices") or ()), {})
    steps = (first.get("message") or {}).get("reasoning_steps")
    chances = [math.exp(min(0.0, logprob)) for logprob in _logprobs(first.get("logprobs"))]
    return {
        "reasoning_steps": len(steps) if isinstance(steps, list) else None,
        "confidence_score": round(sum(chances) / len(chances), 4) if chances else None,
    }


def _logprobs(told: Any) -> list[float]:
    """The log-probabilities of a choice's tokens; a provider may tell anything in their place."""
    tokens = told.get("content") if isinstance(told, dict) else None
    known = [token for token in tokens if isinstance(token, dict)] if isinstance(tokens, list) else []
    return [token["logprob"] for token in known if isinstance(token.get("logprob"), int | float)]


def sse(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


async def openai_stream(chunks: AsyncGenerator[Chunk], *, include_usage: bool) -> AsyncGenerator[bytes]:
    """Chunks as OpenAI streams them: a usage chunk only for those who asked for it. Closes ``chunks``.

    An empty chunk (a silence) becomes a comment.
    """
    async with aclosing(chunks) as opened:
        async for data in opened:
            if not data:
                yield KEEP_ALIVE
            elif not data.get("choices") and not include_usage:
                continue
            elif include_usage or "usage" not in data:
                yield sse(data)
            else:
                yield sse({name: value for name, value in data.items() if name != "usage"})
    yield DONE


def deltas(data: Chunk) -> list[dict[str, Any]]:
    """A chunk's texts as ``delta`` events of MEGAHUB's own stream."""
    events = []
    for choice in data.get("choices") or ():
        delta = choice.get("delta")
        told = delta.items() if isinstance(delta, dict) else ()
        said = {key: value for key, value in told if key != "role" and value}
        if said:
            events.append({"type": "delta", "index": choice.get("index", 0), **said})
    return events


def replayed_chunks(body: Chunk) -> list[Chunk]:
    """A whole completion as the chunks of a stream (a replay of an Idempotency-Key)."""
    head = {k: v for k, v in body.items() if k not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    choices = body.get("choices") or ()
    deltas = [
        {"index": c["index"], "delta": _delta(c["message"]), "finish_reason": None}
        | ({"logprobs": c["logprobs"]} if "logprobs" in c else {})
        for c in choices
    ]
    ends = [{"index": c["index"], "delta": {}, "finish_reason": c["finish_reason"]} for c in choices]
    return [
        {**head, "choices": deltas},
        {**head, "choices": ends},
        {**head, "choices": [], "usage": body.get("usage")},
    ]


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """A whole message as a chunk has it: calls of tools are numbered there."""
    if not message.get("tool_calls"):
        return message
    calls = [{"index": number, **call} for number, call in enumerate(message["tool_calls"])]
    return {**message, "tool_calls": calls}
