"""Server-sent events as the network cuts them and as the standard allows them to be written."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_providers.adapters import http
from tests.ai_providers.any_body import PATIENT
from tests.wire import calls
from tests.wire.replay import LAST, Provider, chunk, data_of, head, listening, opened, recorded

PLAIN = recorded(Path(__file__).parent / "recorded", "stream_plain.sse")


async def said(provider: Provider, *pieces: bytes) -> list[Any]:
    """The data of the chunks of a stream whose body comes in these pieces."""
    provider.answer(opened(), *map(chunk, pieces), LAST)
    call = calls.cleaned("gpt-4o-mini", stream=True)
    return [piece.data for piece in await calls.pieces(call, calls.access_to(provider))]


@pytest.mark.asyncio
async def test_it_works(provider: Provider) -> None:
    assert await said(provider, PLAIN) == data_of(PLAIN)


@pytest.mark.asyncio
async def test_a_byte_at_a_time(provider: Provider) -> None:
    """Every character of several bytes is cut."""
    assert await said(provider, *[PLAIN[i : i + 1] for i in range(len(PLAIN))]) == data_of(PLAIN)


@pytest.mark.asyncio
async def test_a_character_cut_in_two(provider: Provider) -> None:
    cut = PLAIN.index("🏔️".encode()) + 2

    assert await said(provider, PLAIN[:cut], PLAIN[cut:]) == data_of(PLAIN)


@pytest.mark.asyncio
async def test_a_line_end_cut_in_two(provider: Provider) -> None:
    raw = PLAIN.replace(b"\n", b"\r\n")
    cut = raw.index(b"\r\n") + 1

    assert await said(provider, raw[:cut], raw[cut:]) == data_of(PLAIN)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "raw",
    [
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"data: ", b"data:"),
        PLAIN.replace(b"data: ", b"data:   "),
        PLAIN.replace(b"data: {", b": ping\n\ndata: {"),
        PLAIN.replace(b"data: {", b"event: message\nid: 7\nretry: 10\ndata: {"),
        PLAIN.replace(b"data: {", b"data:\n\ndata: {"),
        b": OPENROUTER PROCESSING\n\n\n\n" + PLAIN,
        PLAIN.replace(b"data: [DONE]\n\n", b""),  # the finish reason is an end as well
        PLAIN + b"data: [DONE]\n\n",
        PLAIN.removesuffix(b"\n"),
        PLAIN.removesuffix(b"\n\n"),
    ],
    ids=(
        "crlf no-space spaces comments fields empty-data comment-first no-done two-dones one-end no-end"
    ).split(),
)
async def test_ways_to_write_it(provider: Provider, raw: bytes) -> None:
    assert await said(provider, raw) == data_of(PLAIN)


@pytest.mark.asyncio
async def test_half_an_event_is_none(provider: Provider) -> None:
    """As the standard has it: what has no end when the stream ends is not read."""
    half = PLAIN.index(b'"usage":{"prompt') + 20

    assert await said(provider, PLAIN[:half]) == data_of(PLAIN)[:-1]


@pytest.mark.asyncio
async def test_until_the_connection_closes(provider: Provider) -> None:
    """Neither a length nor chunks: HTTP/1.0's way, which some gateways still go."""
    provider.answer(head(200, {"Content-Type": "text/event-stream"}), PLAIN[:700], PLAIN[700:])
    call = calls.cleaned("gpt-4o-mini", stream=True)

    assert [p.data for p in await calls.pieces(call, calls.access_to(provider))] == data_of(PLAIN)


@pytest.mark.asyncio
async def test_nul(provider: Provider) -> None:
    raw = PLAIN.replace("Grüezi".encode(), b"a\\u0000b")

    found = await said(provider, raw)

    assert found[1]["choices"][0]["delta"] == {"content": "a\N{REPLACEMENT CHARACTER}b"}


@pytest.mark.asyncio
@settings(PATIENT, max_examples=25)
@given(cuts=st.lists(st.integers(0, len(PLAIN)), max_size=12), crlf=st.booleans())
async def test_any_pieces(cuts: list[int], crlf: bool) -> None:
    """However it is cut, it says the same."""
    raw = PLAIN.replace(b"\n", b"\r\n") if crlf else PLAIN
    edges = [0, *sorted(cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(edges) if a < b]

    async with listening() as fresh:
        assert await said(fresh, *pieces) == data_of(PLAIN)
        await http.close()
