"""A provider that does what a test tells it to, in place of an adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ai_providers.adapters.openai import OpenAI
from ai_providers.domain.gathering import usage_of
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Access, Call, Chunk, Completion

Script = Callable[[int, Call, Access], Awaitable[Any]]


def completion(text: str = "Hello.", prompt: int = 10, output: int = 5) -> Completion:
    """A finished chat answer."""
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
    }
    body = {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }
    counted = usage_of(usage)
    assert counted is not None
    return Completion(body, counted, "chatcmpl-stub", "stop")


def vectors() -> Completion:
    """A finished answer of embeddings."""
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    body = {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
        "usage": usage,
    }
    counted = usage_of(usage)
    assert counted is not None
    return Completion(body, counted, None, None)


def chunk(text: str) -> dict[str, Any]:
    """A piece of a streamed answer."""
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion.chunk",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }


class Scripted(OpenAI):
    """Calls ``script(number, call, access)`` for each call; what it returns is the answer.

    A Completion, a list of chunks (each may be an exception to raise there, or a number of seconds to
    wait), or an exception to raise.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[Call, Access, str]] = []

    async def stream(
        self, call: Call, access: Access, spec: ModelSpec, request_id: str
    ) -> AsyncIterator[Chunk]:
        self.calls.append((call, access, request_id))
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        if callable(answer):
            answer = await answer(call, access)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            yield Chunk(completion=answer)
            return
        for piece in answer:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, int | float):
                await asyncio.sleep(piece)
            else:
                yield Chunk(data=piece)
