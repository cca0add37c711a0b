"""Counting tokens without a tokenizer: an upper bound, for money.

A byte-pair tokenizer never makes more tokens than its input has UTF-8 bytes, so the byte count is a
bound that holds for every provider (reliability.md, section 3). Media parts count what providers
document as their most expensive form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 8
#: OpenAI's tile formula at "high" detail and the largest size: 85 + 170 x 12, rounded up.
TOKENS_PER_IMAGE = 2_200
TOKENS_PER_FILE = 20_000


def most_input(params: dict[str, Any]) -> int:
    """At most this many input tokens in a cleaned chat or embeddings request."""
    return sum(_pieces(params)) + TOKENS_PER_MESSAGE + most_said(params.get("messages", ()))


def most_said(messages: Iterable[dict[str, Any]]) -> int:
    """At most this many input tokens in the messages of a cleaned chat."""
    size = 0
    for message in messages:
        content = message.get("content")
        size += TOKENS_PER_MESSAGE
        if isinstance(content, str):
            size += len(content) if content.isascii() else len(content.encode())
        elif isinstance(content, list):
            size += sum(map(_part, content))
        if len(message) > 2 or "content" not in message:  # more than a role and a content
            others = (value for key, value in message.items() if key not in ("role", "content"))
            size += sum(len(orjson.dumps(value)) for value in others if value)
    return size


def count_text(text: str) -> int:
    """About how many tokens ``text`` has; for output whose usage the provider did not report."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _pieces(params: dict[str, Any]) -> Iterator[int]:
    for key in ("tools", "functions", "response_format"):
        if params.get(key):
            yield len(orjson.dumps(params[key]))
    for key in ("input", "prompt"):
        if key in params:
            yield from _input(params[key])
    for key in ("instructions", "text", "suffix"):
        if params.get(key):
            yield len(orjson.dumps(params[key]))


def _part(part: dict[str, Any]) -> int:
    if part["type"] == "image_url":
        return TOKENS_PER_IMAGE
    if part["type"] in ("file", "input_audio"):
        return TOKENS_PER_FILE
    return len(str(part.get("text") or part.get("refusal") or "").encode())


def _input(value: str | list[Any]) -> Iterator[int]:
    """Embeddings input: a text, texts, token ids, or lists of token ids."""
    if isinstance(value, str):
        yield len(value.encode())
        return
    for item in value:
        if isinstance(item, str):
            yield len(item.encode())
        elif isinstance(item, dict):
            yield _item(item)
        else:
            yield len(item) if isinstance(item, list) else 1


def _item(item: dict[str, Any]) -> int:
    """An item of the Responses API, or a part of a moderation."""
    content = item.get("content")
    parts = content if isinstance(content, list) else [item]
    media = sum(
        TOKENS_PER_IMAGE for part in parts if isinstance(part, dict) and "image" in str(part.get("type"))
    )
    files = sum(
        TOKENS_PER_FILE for part in parts if isinstance(part, dict) and "file" in str(part.get("type"))
    )
    return len(orjson.dumps(item)) + media + files + TOKENS_PER_MESSAGE
