"""Requirement 14: bodies are bounded in size, depth and form, on the hot lane and on the ordinary one."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from ai_core.models import AIJob
from tests.conftest import Api
from tests.world import Cast

DOORS = ["/v1/chat/completions", "/ai/openai/chat/", "/ai/jobs/", "/auth/keys/", "/ai/webhooks/"]
GOOD = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
#: What each is refused with: by its form, or (digits, a long line) as a wrong value.
BODIES: dict[str, bytes] = {
    "a key twice": b'{"model": "gpt-4o-mini", "model": "o3", "messages": []}',
    "a key twice, deep": b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "role": "system"}]}',
    "a key twice, escaped": b'{"model": "a", "mod\\u0065l": "b"}',
    "a key twice, spaced": b'{"model" : "a", "model"\n: "b"}',
    "a key twice behind a text that hides it": b'{"name": "x", "name": "y", "a": "\\":\\":\\":"}',
    "nan": b'{"temperature": NaN}',
    "infinity": b'{"temperature": -Infinity}',
    "depth": b'{"a":' * 33 + b"1" + b"}" * 33,
    "arrays": b"[" * 100_000 + b"]" * 100_000,
    "a million digits": b'{"n": ' + b"9" * 900_000 + b"}",
    "gzip": gzip.compress(json.dumps(GOOD).encode()),
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "a form": b"model=gpt-4o-mini&name=x",
    "nul": b'{"model": "a\\u0000b"}',
    "surrogate": b'{"model": "\\ud800"}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("door", DOORS)
def test_it_is_a_400(api: Api, cast: Cast, door: str, name: str) -> None:
    headers = {"Content-Type": "application/json"}

    response = api.as_(cast.alice).request("POST", door, content=BODIES[name], headers=headers)

    assert response.status_code == 400, response.text
    if "twice" in name:
        assert "twice" in response.text
    assert AIJob.objects.of(cast.company.pk).count() == 0


@pytest.mark.parametrize(
    "raw", [b'{"model": "a", "b": {"model": "c"}}', b'{"a": [{"x": 1}, {"x": 2}], "t": "\\":"}']
)
def test_the_same_key_in_two_objects_is_none_twice(api: Api, cast: Cast, raw: bytes) -> None:
    response = api.as_(cast.alice).request(
        "POST", "/v1/chat/completions", content=raw, headers={"Content-Type": "application/json"}
    )
    assert "twice" not in response.text


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=bz2_codec",
        "application/json; charset=zip",
        "application/json; charset=utf-7",
        "application/json; charset=nonsense",
    ],
)
def test_a_charset_decodes_nothing(api: Api, cast: Cast, kind: str) -> None:
    """CVE-2026-114136: the body was run through whatever codec its header named."""
    for door in DOORS:
        bomb = b"BZh91AY&SY" + b"\x00" * 100
        headers = {"Content-Type": kind}
        response = api.as_(cast.alice).request("POST", door, content=bomb, headers=headers)
        assert response.status_code in (400, 415)


def test_an_encoding_unpacks_nothing(api: Api, cast: Cast) -> None:
    bomb = gzip.compress(b'{"model": "' + b"a" * 50_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for door in DOORS:
        response = api.as_(cast.alice).request("POST", door, content=bomb, headers=headers)
        assert response.status_code in (400, 415)


@pytest.mark.parametrize("door", DOORS)
def test_one_that_is_too_large(api: Api, cast: Cast, door: str) -> None:
    """CVE-2026-73228: DATA_UPLOAD_MAX_MEMORY_SIZE was not heeded."""
    headers = {"Content-Type": "application/json"}
    raw = b'{"model": "' + b"x" * (1024 * 1024) + b'"}'

    def chunked() -> Any:
        for start in range(0, len(raw), 65536):
            yield raw[start : start + 65536]

    for content in (raw, chunked()):
        response = api.as_(cast.alice).request("POST", door, content=content, headers=headers)
        assert response.status_code == 413


def test_many_slow_uploads_hold_nobody_up(live_url: str, api: Api, cast: Cast) -> None:
    address = urlsplit(live_url)
    clients = []
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {cast.alice.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
    ).encode()
    try:
        for _ in range(200):
            client = socket.create_connection((address.hostname, address.port))
            client.sendall(head)
            clients.append(client)
        assert api.as_(cast.alice).post("/v1/chat/completions", GOOD).status_code == 200
    finally:
        for client in clients:
            client.close()
    assert api.as_(cast.alice).get("/v1/models").status_code == 200


@pytest.mark.parametrize("door", ["/v1/chat/completions", "/ai/openai/chat/"])
def test_more_than_128_tools(api: Api, cast: Cast, door: str) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

    response = api.as_(cast.alice).post(door, {**GOOD, "tools": [tool] * 129})

    assert response.status_code == 400
    assert "At most 128 tools." in response.text
    assert api.as_(cast.alice).post(door, {**GOOD, "tools": [tool] * 128}).status_code == 200
