"""Infomaniak's two APIs over HTTP: paths with the product id, the differences, the envelope."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ai_providers.adapters.infomaniak import Infomaniak
from ai_providers.domain.gathering import Gathered
from ai_providers.domain.wire import Access, Completion, Usage
from megahub.kernel.errors import (
    HubError,
    InvalidApiKey,
    InvalidParameterForModel,
    NoApiKey,
    ProviderRefused,
    RateLimited,
)
from tests.wire import calls
from tests.wire.calls import CANARY, REQUEST_ID
from tests.wire.replay import Provider, data_of, recorded, streamed, whole

RECORDED = Path(__file__).parent / "recorded"
V1 = "/1/ai/10042/openai"
V2 = "/2/ai/10042/openai/v1"
KIMI = "moonshotai/Kimi-K2.6"


def load(name: str) -> Any:
    return recorded(RECORDED, name)


def access_to(provider: Provider, **fields: Any) -> Access:
    return calls.access_to(provider, "infomaniak", **fields)


async def gathered(provider: Provider, model: str, raw: bytes) -> Completion:
    """The completion of a stream."""
    provider.answer(*streamed(raw))
    call = calls.cleaned(model, stream=True)
    whole_answer = Gathered(call)
    for chunk in await calls.pieces(call, access_to(provider)):
        assert chunk.data is not None
        whole_answer.add(chunk.data)
    return whole_answer.completion()


@pytest.mark.asyncio
async def test_it_works(provider: Provider) -> None:
    """The request of the integration notes, to the first API."""
    provider.answer(whole(load("v1_chat.json")))
    system = {"role": "system", "content": "Tu es un expert en génération de prompts."}
    user = {"role": "user", "content": "Crée une description détaillée d'image."}
    call = calls.cleaned(
        "mixtral",
        messages=[system, user],
        max_tokens=200,
        temperature=0.7,
        profile_type="creative",
    )

    found = await calls.completion(call, access_to(provider))

    request = provider.request
    assert (request.method, request.path) == ("POST", f"{V1}/chat/completions")
    assert request.json == {
        "model": "mixtral",
        "messages": [system, user],
        "max_tokens": 200,
        "temperature": 0.7,
        "profile_type": "creative",
    }
    assert request.headers == {
        "Host": provider.url.removeprefix("http://"),
        "Authorization": f"Bearer {CANARY}",
        "Content-Type": "application/json",
        "X-Client-Request-Id": REQUEST_ID,
        "Accept": "*/*",
        "Accept-Encoding": request.headers["Accept-Encoding"],
        "Content-Length": str(len(request.body)),
    }
    assert found.body == load("v1_chat.json")
    assert found.usage == Usage(input=10, output=50)
    assert found.finish_reason == "stop"


@pytest.mark.asyncio
async def test_first_api_takes_strings_only(provider: Provider) -> None:
    """Its 422 for parts is the reason why texts are joined before they leave."""
    provider.answer(whole(load("v1_chat.json")))
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    call = calls.cleaned("mixtral", messages=[{"role": "developer", "content": parts}])

    await calls.completion(call, access_to(provider))

    assert provider.request.json["messages"] == [{"role": "system", "content": "a\nb"}]


@pytest.mark.asyncio
async def test_second_api(provider: Provider) -> None:
    provider.answer(whole(load("v2_chat_reasoning.json")))
    call = calls.cleaned(
        KIMI,
        messages=[{"role": "developer", "content": "Be short."}, {"role": "user", "content": "6 × 7?"}],
        max_tokens=500,
        reasoning_effort="high",
    )

    found = await calls.completion(call, access_to(provider))

    request = provider.request
    assert (request.method, request.path) == ("POST", f"{V2}/chat/completions")
    assert request.json == {
        "model": KIMI,
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "6 × 7?"}],
        "max_completion_tokens": 500,
        "reasoning_effort": "high",
    }
    assert found.body == load("v2_chat_reasoning.json")
    # No count of reasoning or cached tokens: what is told is all that is known.
    assert found.usage == Usage(input=21, output=38)
    assert found.usage.total_tokens == 59


def test_second_api_takes_no_json_object() -> None:
    with pytest.raises(InvalidParameterForModel) as caught:
        calls.cleaned(KIMI, response_format={"type": "json_object"})

    assert caught.value.text() == f"Model {KIMI} doesn't support response_format of type json_object"


@pytest.mark.asyncio
async def test_stream_of_the_second_api(provider: Provider) -> None:
    found = await gathered(provider, KIMI, load("v2_stream.sse"))

    sent = provider.request.json
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})
    assert provider.request.path == f"{V2}/chat/completions"
    assert found.usage == Usage(input=21, output=38)
    assert found.body == {
        "id": "chatcmpl-9d1b",
        "object": "chat.completion",
        "created": 1794823320,
        "model": KIMI,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "42", "reasoning_content": "6 × 7 = 42."},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 21, "total_tokens": 59, "completion_tokens": 38},
    }


@pytest.mark.asyncio
async def test_stream_of_the_first_api(provider: Provider) -> None:
    """It documents no ``stream_options``: none is sent, and the usage is estimated."""
    found = await gathered(provider, "mixtral", load("v1_stream.sse"))

    sent = provider.request.json
    assert sent["stream"] is True
    assert "stream_options" not in sent
    assert found.body["choices"][0]["message"]["content"] == "Une montagne"
    assert found.usage == Usage(input=len("Hello") + 16, output=3, estimated=True)
    assert found.finish_reason == "stop"
    assert len(data_of(load("v1_stream.sse"))) == 3


@pytest.mark.asyncio
async def test_embeddings(provider: Provider) -> None:
    provider.answer(whole(load("embeddings.json")))
    call = calls.cleaned("bge_multilingual_gemma2", input="Bonjour", encoding_format="float", mode="query")

    found = await calls.completion(call, access_to(provider))

    assert provider.request.path == f"{V2}/embeddings"
    assert provider.request.json == {
        "model": "bge_multilingual_gemma2",
        "input": "Bonjour",
        "encoding_format": "float",
        "mode": "query",
    }
    assert found.usage == Usage(input=6)


@pytest.mark.asyncio
async def test_models(provider: Provider) -> None:
    """The catalogue needs no product id."""
    provider.answer(whole(load("models.json")))

    found = await Infomaniak().models(access_to(provider, extra={}))

    assert found == load("models.json")["data"]
    assert (provider.request.method, provider.request.path) == ("GET", "/1/ai/models")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "extra",
    [
        {},
        *(
            {"product_id": text}
            for text in ("", "..", "../../2/ai/7", "7?x=", "7#", "7/../8", "a b", "7\n")
        ),
    ],
)
async def test_product_id_is_missing(provider: Provider, extra: dict[str, str]) -> None:
    """Or is none: it stands in the path, and a company's own settings may not lead elsewhere."""
    error = await calls.failure(calls.cleaned("mixtral"), access_to(provider, extra=extra))

    assert type(error) is NoApiKey
    assert str(error) == "A product id (infomaniak_product_id) is missing beside the API key."
    assert error.facts == {"provider": "infomaniak"}
    assert provider.requests == []


@pytest.mark.asyncio
async def test_envelope(provider: Provider) -> None:
    error = await refused(provider, load("error_422.json"), 422)

    assert type(error) is ProviderRefused
    assert (error.status, error.param) == (400, "messages.0.content")
    assert str(error) == "infomaniak refused the request: The messages.0.content must be a string."


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("told", "reason", "param"),
    [
        ({"code": "x", "description": "Validation failed"}, "Validation failed", None),
        ({"code": "x", "description": "Failed", "errors": []}, "Failed", None),
        ({"description": "Failed", "errors": [{"description": "Worse"}]}, "Worse", None),
        ({"description": "Failed", "errors": {"a": 1}}, "Failed", None),
        ({"description": "Failed", "errors": ["a"]}, "Failed", None),
        ({"description": "Failed", "errors": [{"context": ["a"]}]}, "Failed", None),
        ({"description": "Failed", "errors": [{"context": {"attribute": 3}}]}, "Failed", None),
        ({"message": "As OpenAI says it"}, "As OpenAI says it", None),
        ({}, "status 400", None),
    ],
)
async def test_parts_of_the_envelope(
    provider: Provider, told: dict[str, Any], reason: str, param: str | None
) -> None:
    error = await refused(provider, {"result": "error", "error": told}, 400)

    assert type(error) is ProviderRefused
    assert (error.words, error.param) == ({"reason": reason}, param)


@pytest.mark.asyncio
async def test_key_refused(provider: Provider) -> None:
    told = {"code": "not_authorized", "description": f"Token {CANARY} is not valid"}
    error = await refused(provider, {"result": "error", "error": told}, 401)

    assert type(error) is InvalidApiKey
    assert str(error) == "infomaniak refused the configured API key."


@pytest.mark.asyncio
async def test_too_many(provider: Provider) -> None:
    told = {"code": "too_many_requests", "description": "Too many requests"}
    error = await refused(provider, {"result": "error", "error": told}, 429, {"Retry-After": "60"})

    assert type(error) is RateLimited
    assert error.retry_after == 60.0


async def refused(
    provider: Provider, body: Any, status: int, headers: dict[str, str] | None = None
) -> HubError:
    """What a call raises that is answered with this."""
    provider.answer(whole(body, status, headers))
    return await calls.failure(calls.cleaned("mixtral"), access_to(provider))
