"""What can go wrong on the way to a provider and back, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ai_providers.adapters import http
from ai_providers.domain.wire import Access
from megahub.kernel.errors import (
    HubError,
    ProviderDisconnected,
    ProviderError,
    ProviderMalformed,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.wire import calls
from tests.wire.replay import (
    RESET,
    WAIT,
    Provider,
    Step,
    chunk,
    events,
    head,
    opened,
    recorded,
    whole,
)

RECORDED = Path(__file__).parent / "recorded"
#: Long enough for loopback, short enough to wait for.
PATIENCE = 0.1


def load(name: str) -> Any:
    return recorded(RECORDED, name)


async def fault(
    provider: Provider, *steps: Step, stream: bool = False, **patience: float
) -> tuple[HubError, float]:
    """What a call raises, and after how many seconds."""
    provider.answer(*steps)
    began = time.monotonic()
    call = calls.cleaned("gpt-4o-mini", stream=stream)
    error = await calls.failure(call, calls.access_to(provider, **patience))
    return error, time.monotonic() - began


def assert_unknown(error: HubError, kind: type[HubError], status: int) -> None:
    """The provider may have done the work: another attempt may be paid twice."""
    assert type(error) is kind
    assert (error.status, error.retryable, error.outcome_unknown) == (status, True, True)
    assert error.facts == {"provider": "openai"}


@pytest.mark.asyncio
async def test_it_works(provider: Provider) -> None:
    error, _ = await fault(provider, whole(b"{"))

    assert_unknown(error, ProviderMalformed, 502)
    assert str(error) == "openai sent an answer that could not be read."


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
async def test_closed_port(stream: bool) -> None:
    """Nothing was sent, so that nothing can have been done."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

        error = await calls.failure(calls.cleaned("gpt-4o-mini", stream=stream), calls.access_to(url))
        await http.close()

    assert type(error) is ProviderUnavailable
    assert (error.status, error.retryable, error.outcome_unknown) == (503, True, False)


@pytest.mark.asyncio
@pytest.mark.parametrize("url", ["nowhere", "http://", "http://[::1"])
async def test_no_address(url: str) -> None:
    """Nothing was sent: another attempt costs nothing."""
    call = calls.cleaned("gpt-4o-mini")

    error = await calls.failure(call, calls.access_to(url))

    assert type(error) is ProviderUnavailable
    assert not error.outcome_unknown


@pytest.mark.asyncio
async def test_connection_is_not_taken() -> None:
    """A listener with no room left: the connection hangs, which is what ``connect_seconds`` is for."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        with socket.socket() as first, socket.socket() as second:
            for filler in (first, second):
                filler.setblocking(False)
                filler.connect_ex(address)
            access = calls.access_to(f"http://127.0.0.1:{address[1]}", connect_seconds=PATIENCE)

            error = await calls.failure(calls.cleaned("gpt-4o-mini"), access)
            await http.close()

    assert type(error) is ProviderUnavailable
    assert error.outcome_unknown is False


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
async def test_no_first_byte(provider: Provider, stream: bool) -> None:
    error, seconds = await fault(provider, WAIT, stream=stream, first_byte_seconds=PATIENCE)

    assert_unknown(error, ProviderTimeout, 504)
    assert seconds < 10 * PATIENCE


@pytest.mark.asyncio
async def test_silence_in_the_middle(provider: Provider) -> None:
    raw = whole(load("chat_plain.json"))
    error, seconds = await fault(provider, raw[:200], WAIT, between_bytes_seconds=PATIENCE)

    assert_unknown(error, ProviderTimeout, 504)
    assert seconds < 10 * PATIENCE


@pytest.mark.asyncio
async def test_silence_in_a_stream(provider: Provider) -> None:
    steps = [opened(), chunk(load("stream_cut.sse")), WAIT]
    error, seconds = await fault(provider, *steps, stream=True, between_bytes_seconds=PATIENCE)

    assert_unknown(error, ProviderTimeout, 504)
    assert seconds < 10 * PATIENCE


@pytest.mark.asyncio
async def test_slow_is_not_silent(provider: Provider) -> None:
    """The patience is for each piece, not for the whole answer."""
    raw = whole(load("chat_plain.json"))
    tenth = len(raw) // 10 + 1
    steps: list[Step] = []
    for start in range(0, len(raw), tenth):
        steps += [raw[start : start + tenth], PATIENCE / 4]
    provider.answer(*steps)

    found = await calls.completion(
        calls.cleaned("gpt-4o-mini"), calls.access_to(provider, between_bytes_seconds=PATIENCE)
    )

    assert found.body == load("chat_plain.json")


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [RESET, b""], ids=["reset", "closed"])
@pytest.mark.parametrize("sent", [0, 20, -10], ids=["nothing", "half a head", "half a body"])
async def test_cut(provider: Provider, sent: int, end: Step) -> None:
    raw = whole(load("chat_plain.json"))
    error, _ = await fault(provider, raw[:sent], end)

    assert_unknown(error, ProviderDisconnected, 502)


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [RESET, b""], ids=["reset", "closed"])
async def test_cut_stream(provider: Provider, end: Step) -> None:
    """What was said until then was handed on; then the error comes."""
    provider.answer(opened(), chunk(load("stream_cut.sse")), 0.02, end)
    call, access = calls.cleaned("gpt-4o-mini", stream=True), calls.access_to(provider)
    spec = calls.spec_of(call.model)
    said = []

    with pytest.raises(ProviderDisconnected) as caught:
        async for piece in calls.adapter_of(spec).stream(call, access, spec, "r"):
            said.append(piece.data)

    calls.assert_no_key(caught.value)
    assert [data["choices"][0]["delta"].get("content") for data in said if data] == ["", "Once upon a time"]


@pytest.mark.asyncio
async def test_stream_that_ends_too_soon(provider: Provider) -> None:
    """Whole by the rules of HTTP, but neither ``[DONE]`` nor a finish reason came."""
    steps = [opened(), chunk(load("stream_cut.sse")), b"0\r\n\r\n"]
    error, _ = await fault(provider, *steps, stream=True)

    assert_unknown(error, ProviderDisconnected, 502)


@pytest.mark.asyncio
async def test_error_in_a_stream(provider: Provider) -> None:
    steps = [opened({"retry-after": "4"}), chunk(load("stream_error.sse")), b"0\r\n\r\n"]
    error, _ = await fault(provider, *steps, stream=True)

    assert type(error) is ProviderError
    assert error.retry_after == 4.0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{",
        b'{"a": 1}',
        b"[]",
        b'"text"',
        b"null",
        b'{"choices": {}}',
        b'{"choices": [1]}',
    ],
)
async def test_not_an_answer(provider: Provider, body: bytes) -> None:
    error, _ = await fault(provider, whole(body))

    assert_unknown(error, ProviderMalformed, 502)


@pytest.mark.asyncio
@pytest.mark.parametrize("data", [b"{", b"[]", b'"text"', b'{"choices": 3}', b'{"choices": ["x"]}'])
async def test_not_a_chunk(provider: Provider, data: bytes) -> None:
    error, _ = await fault(provider, opened(), chunk(b"data: " + data + b"\n\n"), b"0\r\n\r\n", stream=True)

    assert_unknown(error, ProviderMalformed, 502)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "raw", [b"NONSENSE\r\n\r\n", b"HTTP/1.1 two hundred OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"]
)
async def test_not_http(provider: Provider, raw: bytes) -> None:
    """aiohttp's error for this carries the request's headers: it must not be told on."""
    error, _ = await fault(provider, raw)

    assert_unknown(error, ProviderDisconnected, 502)
    assert isinstance(error.__context__, aiohttp.ClientResponseError | aiohttp.ClientError)


@pytest.mark.asyncio
async def test_not_gzip(provider: Provider) -> None:
    raw = whole(b"this is not compressed", headers={"Content-Encoding": "gzip"})
    error, _ = await fault(provider, raw)

    assert_unknown(error, ProviderDisconnected, 502)


@pytest.mark.asyncio
async def test_huge_answer(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = whole(load("chat_plain.json"))
    size = len(raw) - raw.index(b"\r\n\r\n") - 4
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", size)
    provider.answer(raw)
    call = calls.cleaned("gpt-4o-mini")
    assert (await calls.completion(call, calls.access_to(provider))).body == load("chat_plain.json")

    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", size - 1)
    error, _ = await fault(provider, raw)

    assert_unknown(error, ProviderMalformed, 502)


@pytest.mark.asyncio
async def test_huge_stream(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1000)
    steps = [opened(), *[chunk(load("stream_cut.sse"))] * 3]
    error, _ = await fault(provider, *steps, stream=True)

    assert_unknown(error, ProviderMalformed, 502)


@pytest.mark.asyncio
async def test_huge_when_unpacked(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for what an answer becomes, not for what it weighs on the wire."""
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 10_000)
    raw = gzip.compress(b" " * 1_000_000)
    error, _ = await fault(provider, whole(raw, headers={"Content-Encoding": "gzip"}))

    assert len(raw) < 10_000
    assert_unknown(error, ProviderMalformed, 502)


@pytest.mark.asyncio
async def test_hanging_up_closes_the_connection(provider: Provider) -> None:
    """A caller that goes away does not leave the provider talking (and billing)."""
    provider.answer(opened(), chunk(load("stream_cut.sse")), 5.0)
    call, access = calls.cleaned("gpt-4o-mini", stream=True), calls.access_to(provider)
    spec = calls.spec_of(call.model)
    stream = calls.adapter_of(spec).stream(call, access, spec, "r")

    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]

    async with asyncio.timeout(1):
        await provider.hung_up.wait()


@pytest.mark.asyncio
async def test_cancelling_closes_the_connection(provider: Provider) -> None:
    provider.answer(5.0)
    asking = asyncio.create_task(
        calls.pieces(calls.cleaned("gpt-4o-mini"), calls.access_to(provider, first_byte_seconds=5.0))
    )
    while not provider.requests:
        await asyncio.sleep(0.005)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(1):
        await provider.hung_up.wait()


@pytest.mark.asyncio
async def test_a_refused_stream(provider: Provider) -> None:
    """A status before the stream is an error like any other."""
    error, _ = await fault(provider, whole({"error": {"message": "no"}}, 500), stream=True)

    assert type(error) is ProviderError


def test_an_access_never_shows_its_key() -> None:
    access = Access("openai", "own", "http://127.0.0.1", calls.CANARY, extra={"organization": "org-7"})

    assert calls.CANARY not in f"{access} {access!r}"
    assert "org-7" not in repr(access)


def test_head_and_events_are_what_they_seem() -> None:
    """The recorder's own words, so that a fault above is the hub's."""
    assert head(200, {"A": "b"}) == b"HTTP/1.1 200 Whatever\r\nA: b\r\nConnection: close\r\n\r\n"
    assert events([{"a": 1}]) == b'data: {"a": 1}\n\ndata: [DONE]\n\n'
