"""Counting tokens from above: never fewer than a tokenizer finds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_providers.domain import params, tokens
from ai_providers.domain.spec import ModelSpec
from megahub.kernel.errors import HubError
from tests.ai_providers import any_body

PER_MESSAGE = tokens.TOKENS_PER_MESSAGE


def of(*contents: Any, **more: Any) -> int:
    messages = [{"role": "user", "content": content} for content in contents]
    return tokens.most_input({"messages": messages, **more})


def test_it_works() -> None:
    assert of("Hello") == len("Hello") + 2 * PER_MESSAGE


def test_nothing() -> None:
    assert tokens.most_input({}) == PER_MESSAGE


@pytest.mark.parametrize("text", ["", "a", "é", "漢字", "🏔️", "👩‍👩‍👧‍👦", "\u200b", "a\n\tb"])
def test_bytes_not_characters(text: str) -> None:
    """A byte-pair tokenizer makes at most a token of each byte of UTF-8, and up to 3 of a character."""
    bound = len(text.encode())

    assert of(text) == bound + 2 * PER_MESSAGE
    assert of([{"type": "text", "text": text}]) == bound + 2 * PER_MESSAGE
    assert tokens.most_input({"input": text}) == bound + PER_MESSAGE
    assert tokens.most_input({"input": [text, text]}) == 2 * bound + PER_MESSAGE


def test_messages_cost_something_each() -> None:
    """Roles and separators are tokens too."""
    assert of("", "", "") == 4 * PER_MESSAGE


def test_what_a_message_holds_beside_its_content_is_counted() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    size = len(orjson.dumps(calls))
    for message in ({"role": "assistant", "tool_calls": calls}, {"role": "assistant", "content": None}):
        expected = size if "tool_calls" in message else 0
        assert tokens.most_input({"messages": [message]}) == expected + 2 * PER_MESSAGE
        named = {**message, "name": "ada"}
        assert tokens.most_input({"messages": [named]}) == expected + len('"ada"') + 2 * PER_MESSAGE


def test_token_ids_are_counted() -> None:
    assert tokens.most_input({"input": [1, 2, 300_000]}) == 3 + PER_MESSAGE
    assert tokens.most_input({"input": [[1], [2, 3]]}) == 3 + PER_MESSAGE


@pytest.mark.parametrize(
    ("part", "most"),
    [
        ({"type": "image_url", "image_url": {"url": "http://a.example/b.png"}}, tokens.TOKENS_PER_IMAGE),
        ({"type": "file", "file": {"file_id": "file-1"}}, tokens.TOKENS_PER_FILE),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            tokens.TOKENS_PER_FILE,
        ),
        ({"type": "refusal", "refusal": "No."}, 3),
    ],
)
def test_media(part: dict[str, Any], most: int) -> None:
    assert of([part]) == most + 2 * PER_MESSAGE
    assert of([part, {"type": "text", "text": "ab"}]) == most + 2 + 2 * PER_MESSAGE


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "refusal": "R" * 1000},
        {"role": "assistant", "content": "", "reasoning_content": "R" * 1000},
        {"role": "tool", "content": "", "tool_call_id": "R" * 1000},
        {"role": "user", "content": "", "name": "R" * 1000},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"arguments": "R" * 1000}}],
        },
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "R" * 1000}},
    ],
    ids=lambda message: next(reversed(message)),
)
def test_whatever_a_message_carries(message: dict[str, Any]) -> None:
    """Every text that is sent is counted, whatever its key."""
    assert tokens.most_input({"messages": [message]}) >= 1000 + 2 * PER_MESSAGE


@pytest.mark.parametrize("name", ["tools", "response_format"])
def test_what_stands_beside_the_messages(name: str) -> None:
    given = {"description": "D" * 1000}

    assert of("", **{name: [given]}) >= 1000 + 2 * PER_MESSAGE


@settings(any_body.PATIENT, max_examples=300)
@given(any_body.legal())
def test_never_fewer_than_bytes(drawn: tuple[ModelSpec, dict[str, Any]]) -> None:
    """The bound holds for a tokenizer that makes a token of every byte of every text sent."""
    spec, body = drawn
    try:
        cleaned = params.clean(spec, body, with_defaults=False).params
    except HubError:
        return
    sent = [cleaned.get("messages"), cleaned.get("input"), cleaned.get("tools")]

    assert tokens.most_input(cleaned) >= sum(map(size, sent))


def size(value: Any) -> int:
    """A token for every byte of every text, and for every number; roles and types are not the caller's."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return sum(size(item) for key, item in value.items() if key not in ("role", "type", "image_url"))
    if isinstance(value, list):
        return sum(map(size, value))
    return 1 if isinstance(value, int) else 0


@settings(any_body.PATIENT, max_examples=100)
@given(st.text(max_size=40))
def test_count_text(text: str) -> None:
    """A quarter of the characters, rounded up: an estimate, not a bound."""
    found = tokens.count_text(text)

    assert found * 4 >= len(text) > (found - 1) * 4


def test_count_text_of_nothing() -> None:
    assert tokens.count_text("") == 0
