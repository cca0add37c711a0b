"""The chat's bodies, taken apart and put together; no database, no network."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from ai_openai.domain import chat
from ai_openai.domain.chat import ChatBody
from megahub.kernel.errors import ValidationFailed

HELLO = [{"role": "user", "content": "Hello"}]


def parse(**given: Any) -> ChatBody:
    return chat.parse(given, "gpt-4o")


def test_it_works() -> None:
    given = {"model": "o3", "messages": HELLO, "description": "A test", "priority": "high", "async": True}

    found = parse(**given)

    assert (found.model, found.description, found.priority, found.later) == ("o3", "A test", "high", True)
    assert found.params == {"model": "o3", "messages": HELLO}


class TestParse:
    @pytest.mark.parametrize(
        "given", [{}, {"model": None, "description": None, "priority": None, "async": None}]
    )
    def test_defaults(self, given: dict[str, Any]) -> None:
        """A null is absent, here as everywhere."""
        found = parse(messages=HELLO, **given)

        assert (found.model, found.description, found.priority, found.later) == (
            "gpt-4o",
            "",
            "normal",
            False,
        )

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("model", 3, "Expected string."),
            ("model", "", "Expected string."),
            ("model", ["o3"], "Expected string."),
            ("description", 3, "Expected string."),
            ("priority", "soon", "Must be one of low, normal, high, urgent."),
            ("priority", ["high"], "Must be one of low, normal, high, urgent."),
            ("async", "yes", "Expected boolean."),
            ("async", 1, "Expected boolean."),
            ("async", 0, "Expected boolean."),
        ],
    )
    def test_wrong(self, name: str, value: Any, text: str) -> None:
        with pytest.raises(ValidationFailed) as caught:
            parse(messages=HELLO, **{name: value})

        assert caught.value.field_errors == {name: [text]}
        assert caught.value.param == name

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({}, "This field is required."),
            ({"model": None}, "This field is required."),
            ({"model": 3}, "Expected string."),
            ({"model": ""}, "Expected string."),
        ],
    )
    def test_openai_bodies_name_their_model(self, body: dict[str, Any], text: str) -> None:
        assert chat.model_of({"model": "o3"}) == "o3"
        with pytest.raises(ValidationFailed) as caught:
            chat.model_of(body)

        assert caught.value.field_errors == {"model": [text]}


class TestQuality:
    def test_from_what_the_provider_returned(self) -> None:
        tokens = [{"logprob": math.log(0.9)}, {"logprob": math.log(0.5)}]
        response = {
            "choices": [{"message": {"reasoning_steps": ["a", "b"]}, "logprobs": {"content": tokens}}]
        }

        assert chat.quality_indicators(response) == {"reasoning_steps": 2, "confidence_score": 0.7}

    @pytest.mark.parametrize(
        "response",
        [
            {},
            {"choices": None},
            {"choices": [{}]},
            {"choices": [{"message": None, "logprobs": None}]},
            {"choices": [{"message": {"content": "a"}, "logprobs": {"content": []}}]},
            {"choices": [{"logprobs": {"content": None}}]},
            {"choices": [{"logprobs": "none"}]},
            {"choices": [{"logprobs": {"content": ["a", {}, {"logprob": None}]}}]},
        ],
    )
    def test_nothing_is_invented(self, response: dict[str, Any]) -> None:
        assert chat.quality_indicators(response) == {"reasoning_steps": None, "confidence_score": None}

    def test_a_probability_is_one_at_most(self) -> None:
        response = {"choices": [{"message": {}, "logprobs": {"content": [{"logprob": 1e9}]}}]}

        assert chat.quality_indicators(response)["confidence_score"] == 1.0


def test_a_delta_that_is_none_says_nothing() -> None:
    choices = [{"delta": "text"}, {"delta": None}, {"index": 2, "delta": {"content": "a"}}]

    assert chat.deltas({"choices": choices}) == [{"type": "delta", "index": 2, "content": "a"}]


class TestStreams:
    CHUNKS = [
        {"id": "a", "choices": [{"delta": {"content": "Hel"}}], "usage": None},
        {"id": "a", "choices": [{"delta": {"content": "lo"}}]},
        {"id": "a", "choices": [], "usage": {"total_tokens": 3}},
    ]

    async def said(self, *, include_usage: bool) -> list[Any]:
        async def chunks() -> AsyncIterator[dict[str, Any]]:
            for data in self.CHUNKS:
                yield data

        events = [event async for event in chat.openai_stream(chunks(), include_usage=include_usage)]
        assert events.pop() == b"data: [DONE]\n\n"
        return [orjson.loads(event.removeprefix(b"data: ").removesuffix(b"\n\n")) for event in events]

    @pytest.mark.asyncio
    async def test_with_usage(self) -> None:
        assert await self.said(include_usage=True) == self.CHUNKS

    @pytest.mark.asyncio
    async def test_without(self) -> None:
        """The hub always asks for it; who did not ask does not see it."""
        assert await self.said(include_usage=False) == [
            {"id": "a", "choices": [{"delta": {"content": "Hel"}}]},
            {"id": "a", "choices": [{"delta": {"content": "lo"}}]},
        ]

    def test_an_event_is_one_line(self) -> None:
        assert chat.sse({"a": "x\n\ny\r\nz"}) == b'data: {"a":"x\\n\\ny\\r\\nz"}\n\n'

    def test_deltas(self) -> None:
        data = {
            "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": ""}},
                {"index": 1, "delta": {"content": "Hi", "refusal": None}},
                {"delta": {"tool_calls": [{"index": 0}]}},
                {"index": 2, "delta": None},
            ]
        }

        assert chat.deltas(data) == [
            {"type": "delta", "index": 1, "content": "Hi"},
            {"type": "delta", "index": 0, "tool_calls": [{"index": 0}]},
        ]
        assert chat.deltas({"choices": None}) == chat.deltas({}) == []

    def test_a_replay(self) -> None:
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        usage = {"total_tokens": 3}
        body = {
            "id": "a",
            "object": "chat.completion",
            "model": "o3",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}],
            "usage": usage,
        }
        head = {"id": "a", "object": "chat.completion.chunk", "model": "o3"}
        delta = {**message, "tool_calls": [{"index": 0, **call}]}

        assert chat.replayed_chunks(body) == [
            {
                **head,
                "choices": [{"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}],
            },
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
            {**head, "choices": [], "usage": usage},
        ]
        assert message["tool_calls"] == [call]
