"""Requirement 9: no caller says where a provider lies (CVE-2024-6587; again nested, PYSEC-2026-4070)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ai_providers import services
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

CANARY = "sk-proj-canary-0123456789abcdef"
EVIL = "http://evil.example:9/v1"
NAMES = [
    "base_url",
    "api_base",
    "baseURL",
    "endpoint",
    "proxy",
    "extra_headers",
    "headers",
    "user_config",
    "litellm_params",
    "api_key",
    "azure_endpoint",
    "custom_llm_provider",
    "organization",
    "extra_body",
]
BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "metadata": {"a": "b"},
    "logit_bias": {"1": 1},
    "stream_options": {"include_usage": True},
    "stream": True,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every object in a body."""
    if isinstance(value, dict):
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def poisoned(name: str, path: tuple[Any, ...]) -> dict[str, Any]:
    found = copy.deepcopy(BODY)
    inner: Any = found
    for step in path:
        inner = inner[step]
    inner[name] = {"base_url": EVIL, "Authorization": EVIL} if name in ("headers", "user_config") else EVIL
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("door", ["/v1/chat/completions", "/ai/openai/chat/"])
def test_the_key_goes_where_the_hub_says(
    api: Api, cast: Cast, provider: Callable[..., Scripted], door: str, name: str
) -> None:
    services.store_keys(cast.company.pk, {"openai": CANARY})
    scripted = provider(completion())
    caller = api.as_(cast.alice)

    for path in places(BODY):
        response = caller.post(door, poisoned(name, path))
        assert response.status_code in (200, 400), response.text
        if path == ():
            assert response.status_code == 400

    for call, access, _ in scripted.calls:
        assert access.base_url == "https://api.openai.com/v1"
        assert call.model == "gpt-4o-mini"
    for header in ("X-OpenAI-Base-Url", "X-Api-Base", "Api-Base", "X-Forwarded-Host"):
        caller.post(door, {**BODY, "stream": False}, headers={header: EVIL})
    assert {access.base_url for _, access, _ in scripted.calls} == {"https://api.openai.com/v1"}


@pytest.mark.parametrize("name", NAMES)
def test_nor_is_it_stored_with_a_key(api: Api, cast: Cast, name: str) -> None:
    if name == "organization":
        return
    body = {"openai_api_key": CANARY, name: EVIL}

    assert api.as_(cast.alice).post("/ai/credentials/", body).status_code == 400
