"""Embeddings requests that go to the provider together, and its answer taken apart again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

from ai_providers.domain import tokens
from ai_providers.domain.wire import Completion, Usage

MAX_INPUTS = 512
MAX_BYTES = 1024 * 1024
T = TypeVar("T")
CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")


def inputs_of(params: dict[str, Any]) -> list[Any] | None:
    """A request's inputs as a list of texts; None for one that goes alone (token ids)."""
    given = params["input"]
    if isinstance(given, str):
        return [given]
    return given if all(isinstance(item, str) for item in given) else None


def together(requests: Sequence[tuple[T, dict[str, Any]]]) -> list[list[T]]:
    """The requests in groups of the same parameters, their order kept within each."""
    groups: list[list[T]] = []
    begun: dict[bytes, tuple[list[T], int, int]] = {}
    for request, params in requests:
        texts = inputs_of(params)
        if texts is None:
            groups.append([request])
            continue
        others = {name: value for name, value in params.items() if name != "input"}
        key = orjson.dumps(others, option=orjson.OPT_SORT_KEYS)
        size = sum(len(text.encode()) for text in texts)
        group, inputs, held = begun.get(key, ([], 0, 0))
        if not group or inputs + len(texts) > MAX_INPUTS or held + size > MAX_BYTES:
            group, inputs, held = [], 0, 0
            groups.append(group)
        group.append(request)
        begun[key] = (group, inputs + len(texts), held + size)
    return groups


def apart(answer: Completion, requests: list[dict[str, Any]]) -> list[Completion] | None:
    """The answer to each request; None when the provider did not answer them all."""
    counts = [len(inputs_of(params) or ()) for params in requests]
    data = sorted(answer.body.get("data") or (), key=lambda item: item.get("index", 0))
    if len(data) != sum(counts):
        return None
    weights = [tokens.most_input({"input": params["input"]}) for params in requests]
    found, at = [], 0
    for count, usage in zip(counts, shares(answer.usage, weights), strict=True):
        own = [{**item, "index": number} for number, item in enumerate(data[at : at + count])]
        at += count
        told = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens}
        found.append(Completion({**answer.body, "data": own, "usage": told}, usage, answer.provider_id))
    return found


def shares(usage: Usage, weights: list[int]) -> list[Usage]:
    """A usage dealt out by weight; the parts add up to the whole, to the token."""
    dealt = {name: _dealt(getattr(usage, name), weights) for name in CLASSES}
    return [
        Usage(**{name: dealt[name][place] for name in CLASSES}, estimated=usage.estimated)
        for place in range(len(weights))
    ]


def _dealt(amount: int, weights: list[int]) -> list[int]:
    """Whole shares by the largest remainders."""
    total = sum(weights) or 1
    found = [amount * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: -(amount * weights[place] % total))
    for place in order[: amount - sum(found)]:
        found[place] += 1
    return found
