"""OpenAI's embeddings and its list of models over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ai_providers.adapters import http
from ai_providers.adapters.openai import OpenAI
from ai_providers.domain.wire import Usage
from megahub.kernel.errors import InvalidApiKey, ProviderMalformed
from tests.wire import calls
from tests.wire.calls import CANARY
from tests.wire.replay import Provider, recorded, whole

RECORDED = Path(__file__).parent / "recorded"


def load(name: str) -> Any:
    return recorded(RECORDED, name)


@pytest.mark.asyncio
async def test_it_works(provider: Provider) -> None:
    provider.answer(whole(load("embeddings.json"), headers={"x-request-id": "req_77"}))
    call = calls.cleaned("text-embedding-3-small", input=["a", "b"], dimensions=3)

    found = await calls.completion(call, calls.access_to(provider))

    assert (provider.request.method, provider.request.path) == ("POST", "/embeddings")
    assert provider.request.json == {
        "model": "text-embedding-3-small",
        "input": ["a", "b"],
        "dimensions": 3,
    }
    assert found.body == load("embeddings.json")
    assert found.usage == Usage(input=8)
    assert found.usage.total_tokens == 8
    assert (found.provider_id, found.finish_reason) == ("req_77", None)


@pytest.mark.asyncio
async def test_without_usage(provider: Provider) -> None:
    body = load("embeddings.json")
    del body["usage"]
    provider.answer(whole(body))
    call = calls.cleaned("text-embedding-3-small", input=["äb", "c"])

    found = await calls.completion(call, calls.access_to(provider))

    assert found.usage == Usage(input=4 + 8, estimated=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [{"data": None}, {"data": "x"}, {"data": [1]}, {"choices": []}])
async def test_not_an_answer(provider: Provider, body: Any) -> None:
    provider.answer(whole(body))

    error = await calls.failure(
        calls.cleaned("text-embedding-3-small", input="a"), calls.access_to(provider)
    )

    assert type(error) is ProviderMalformed


@pytest.mark.asyncio
async def test_models(provider: Provider) -> None:
    provider.answer(whole(load("models.json")))

    found = await OpenAI().models(calls.access_to(provider))

    assert found == load("models.json")["data"]
    assert (provider.request.method, provider.request.path) == ("GET", "/models")
    assert provider.request.body == b""
    assert provider.request.headers["Authorization"] == f"Bearer {CANARY}"


@pytest.mark.asyncio
async def test_models_with_a_wrong_key(provider: Provider) -> None:
    provider.answer(whole({"error": {"message": f"Incorrect API key: {CANARY}"}}, 401))

    with pytest.raises(InvalidApiKey) as caught:
        await OpenAI().models(calls.access_to(provider))

    calls.assert_no_key(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [{}, [], {"data": None}, {"data": {"a": 1}}, "x", None])
async def test_models_malformed(provider: Provider, body: Any) -> None:
    provider.answer(whole(body))

    with pytest.raises(ProviderMalformed):
        await OpenAI().models(calls.access_to(provider))


@pytest.mark.asyncio
async def test_one_session_per_loop(provider: Provider) -> None:
    """A call opens none of its own; after ``close`` the next one opens a new one."""
    for _ in range(2):
        provider.answer(whole(load("models.json")))
    await OpenAI().models(calls.access_to(provider))
    first = http._session()
    assert http._session() is first

    await http.close()
    assert first.closed
    await OpenAI().models(calls.access_to(provider))

    assert http._session() is not first
