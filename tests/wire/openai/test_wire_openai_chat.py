"""OpenAI's chat over HTTP: the request as it leaves, the answers as the hub takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ai_providers.domain.gathering import Gathered
from ai_providers.domain.wire import RateLimits, Usage
from tests.wire import calls
from tests.wire.calls import CANARY, REQUEST_ID
from tests.wire.replay import Provider, data_of, recorded, streamed, whole, zipped

RECORDED = Path(__file__).parent / "recorded"
LIMITS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999985",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-reset-tokens": "6m0s",
    "x-request-id": "req_6c5f1b",
}


def load(name: str) -> Any:
    return recorded(RECORDED, name)


@pytest.mark.asyncio
async def test_it_works(provider: Provider) -> None:
    body = load("chat_plain.json")
    provider.answer(whole(body, headers=LIMITS))
    call = calls.cleaned("gpt-4o-mini", temperature=0, max_tokens=20)

    (chunk,) = await calls.pieces(call, calls.access_to(provider))

    assert chunk.data is None
    assert chunk.completion is not None
    assert chunk.completion.body == body
    assert chunk.completion.usage == Usage(input=14, output=12)
    assert chunk.completion.provider_id == "chatcmpl-CAbX1uQ2pV0aR7hN5dKf3sYw9ZtLm"
    assert chunk.completion.finish_reason == "stop"
    assert chunk.rate_limits == RateLimits(
        limit_requests=10_000,
        remaining_requests=9_999,
        limit_tokens=2_000_000,
        remaining_tokens=1_999_985,
        reset_requests_seconds=8.64,
        reset_tokens_seconds=360.0,
    )


@pytest.mark.asyncio
async def test_request(provider: Provider) -> None:
    """The whole request: nothing is missing, nothing strays along."""
    provider.answer(whole(load("chat_plain.json")))
    call = calls.cleaned("gpt-4o-mini", temperature=0, max_tokens=20)

    await calls.pieces(call, calls.access_to(provider))

    request = provider.request
    sent = {
        "model": "gpt-4o-mini",
        "temperature": 0,
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.json == sent
    assert request.headers == {
        "Host": provider.url.removeprefix("http://"),
        "Authorization": f"Bearer {CANARY}",
        "Content-Type": "application/json",
        "X-Client-Request-Id": REQUEST_ID,
        "Accept": "*/*",
        "Accept-Encoding": request.headers["Accept-Encoding"],
        "Content-Length": str(len(request.body)),
    }
    assert set(request.headers["Accept-Encoding"].split(", ")) <= {"gzip", "deflate", "br", "zstd"}


@pytest.mark.asyncio
async def test_organization(provider: Provider) -> None:
    provider.answer(whole(load("chat_plain.json")))

    await calls.pieces(
        calls.cleaned("gpt-4o-mini"), calls.access_to(provider, extra={"organization": "org-7"})
    )

    assert provider.request.headers["OpenAI-Organization"] == "org-7"


@pytest.mark.asyncio
async def test_environment_is_not_asked(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a .netrc of the machine has a say."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    provider.answer(whole(load("chat_plain.json")))

    await calls.pieces(calls.cleaned("gpt-4o-mini"), calls.access_to(provider))

    assert len(provider.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "model", "usage", "finish_reason"),
    [
        ("chat_tool_calls.json", "gpt-4.1", Usage(input=131, output=48), "tool_calls"),
        ("chat_reasoning.json", "o3", Usage(input=75, output=19, reasoning=192), "stop"),
        (
            "chat_cached.json",
            "gpt-6-luna",
            Usage(input=1152, cache_read=1920, cache_write=1024, output=44, reasoning=256),
            "stop",
        ),
        ("chat_refusal.json", "gpt-4o", Usage(input=81, output=11), "stop"),
        ("chat_n2.json", "gpt-4o-mini", Usage(input=12, output=6), "stop"),
    ],
)
async def test_answers(provider: Provider, name: str, model: str, usage: Usage, finish_reason: str) -> None:
    """The body is kept as it came; the classes of tokens are disjoint and add up to the total."""
    body = load(name)
    provider.answer(whole(body))

    found = await calls.completion(calls.cleaned(model), calls.access_to(provider))

    assert found.body == body
    assert found.usage == usage
    assert found.usage.total_tokens == body["usage"]["total_tokens"]
    assert found.finish_reason == finish_reason


@pytest.mark.asyncio
async def test_compressed(provider: Provider) -> None:
    body = load("chat_plain.json")
    provider.answer(zipped(body))

    found = await calls.completion(calls.cleaned("gpt-4o-mini"), calls.access_to(provider))

    assert found.body == body


@pytest.mark.asyncio
async def test_nul_is_replaced(provider: Provider) -> None:
    """PostgreSQL cannot store U+0000 in JSON; an escaped backslash before ``u0000`` stays."""
    body = load("chat_plain.json")
    body["choices"][0]["message"]["content"] = "a\0b \\u0000"
    provider.answer(whole(body))

    found = await calls.completion(calls.cleaned("gpt-4o-mini"), calls.access_to(provider))

    assert found.body["choices"][0]["message"]["content"] == "a\N{REPLACEMENT CHARACTER}b \\u0000"


@pytest.mark.asyncio
async def test_answer_without_usage(provider: Provider) -> None:
    """What the provider does not count is estimated: input at its bound, output by its length."""
    body = load("chat_plain.json")
    del body["usage"]
    text = body["choices"][0]["message"]["content"]
    provider.answer(whole(body))

    found = await calls.completion(calls.cleaned("gpt-4o-mini"), calls.access_to(provider))

    assert found.usage == Usage(input=len("Hello") + 16, output=-(-len(text) // 4), estimated=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "model", "usage", "finish_reason"),
    [
        ("stream_plain.sse", "gpt-4o-mini", Usage(input=20, cache_read=1024, output=9), "stop"),
        ("stream_tool_calls.sse", "gpt-4.1", Usage(input=131, output=37), "tool_calls"),
        ("stream_n2.sse", "gpt-4o-mini", Usage(input=12, output=4), "stop"),
        ("stream_refusal.sse", "gpt-4o", Usage(input=81, output=8), "stop"),
    ],
)
async def test_streams(provider: Provider, name: str, model: str, usage: Usage, finish_reason: str) -> None:
    """Every event is handed on as it came; together they are a completion."""
    raw = load(name)
    provider.answer(*streamed(raw, LIMITS))
    call = calls.cleaned(model, stream=True)

    chunks = await calls.pieces(call, calls.access_to(provider))

    sent = provider.request.json
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})
    assert [chunk.data for chunk in chunks] == data_of(raw)
    assert [chunk.completion for chunk in chunks] == [None] * len(chunks)
    assert [chunk.rate_limits is not None for chunk in chunks] == [True, *[False] * (len(chunks) - 1)]
    gathered = Gathered(call)
    for chunk in chunks:
        assert chunk.data is not None
        gathered.add(chunk.data)
    whole_answer = gathered.completion()
    assert whole_answer.usage == usage
    assert whole_answer.finish_reason == finish_reason
    assert whole_answer.usage.total_tokens == data_of(raw)[-1]["usage"]["total_tokens"]


@pytest.mark.asyncio
async def test_stream_asks_for_the_usage_once(provider: Provider) -> None:
    """The caller's own switches do not reach the provider: the hub always needs the usage."""
    provider.answer(*streamed(load("stream_plain.sse")))
    call = calls.cleaned("gpt-4o-mini", stream=True, stream_options={"include_usage": False})

    await calls.pieces(call, calls.access_to(provider))

    assert json.loads(provider.request.body) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
