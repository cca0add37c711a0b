"""Requirement 18: no line break of a caller's ends a header or an event."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import mail

from megahub.delivery.services import mails
from tests.conftest import Api
from tests.stubs import Scripted, chunk
from tests.world import Cast

SPLITS = ["a\r\nSet-Cookie: evil=1", "a\n\ndata: evil\n\n", "a\rX-Evil: 1", "a\u2028b", "a\x85b"]
STOP = {**chunk(""), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def raw(live_url: str, *lines: str) -> bytes:
    address = urlsplit(live_url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin1"))
        said = b""
        while piece := client.recv(65536):
            said += piece
    return said


@pytest.mark.parametrize("offered", ["a\tb", "a b", "é", "x" * 65, "<script>"])
@pytest.mark.parametrize("path", ["/healthz", "/auth/me/"])
def test_a_request_id_is_plain_or_made_anew(live_url: str, path: str, offered: str) -> None:
    said = raw(live_url, f"GET {path} HTTP/1.1", "Host: localhost", f"X-Request-ID: {offered}")

    answered = [line for line in said.split(b"\r\n") if line.lower().startswith(b"x-request-id:")]
    assert len(answered) == 1
    assert answered[0].split(b": ")[1].startswith(b"req_")


@pytest.mark.parametrize("text", SPLITS)
@pytest.mark.parametrize("door", ["/v1/chat/completions", "/ai/openai/chat/"])
def test_events_hold_what_was_said(
    api: Api, cast: Cast, provider: Callable[..., Scripted], door: str, text: str
) -> None:
    provider([chunk(text), STOP])
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}

    response = api.as_(cast.alice).post(door, {**body, "stream": True})

    for event in response.text.split("\n\n"):
        if event and event != "data: [DONE]":
            assert event.startswith("data: ")
            json.loads(event.removeprefix("data: "))
    assert "set-cookie" not in response.headers
    assert "x-evil" not in response.headers


@pytest.mark.parametrize("text", SPLITS)
def test_no_header_holds_a_callers_text(api: Api, cast: Cast, text: str) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi"}],
        "description": text,
        "user": text,
    }
    for path in (f"/ai/models/{text}/schema/", "/ai/usage/export/?format=csv"):
        response = api.as_(cast.alice).get(path.replace("\r", "%0D").replace("\n", "%0A"))
        assert "x-evil" not in response.headers
        assert "set-cookie" not in response.headers
    response = api.as_(cast.alice).post("/ai/openai/chat/", body)
    assert "evil" not in str(response.headers).lower()


def test_a_request_that_is_two(live_url: str) -> None:
    """Requirement 17 as well: what two servers would read as two requests is refused, not guessed at."""
    both = raw(
        live_url,
        "POST /auth/token/ HTTP/1.1",
        "Host: localhost",
        "Content-Length: 4",
        "Transfer-Encoding: chunked",
        "",
        "0",
        "",
        "GET /metrics HTTP/1.1",
        "Host: localhost",
    )
    assert both.count(b"HTTP/1.1 ") <= 1 or b"HTTP/1.1 400" in both


@pytest.mark.parametrize(
    "name", ["a\r\nX-Evil: 1.jsonl", 'a"; filename="evil.exe', "a\nSet-Cookie: evil=1", "é.jsonl"]
)
def test_a_files_name_reaches_no_header(api: Api, cast: Cast, name: str) -> None:
    alice = api.as_(cast.alice)
    made = alice.post("/v1/files", data={"purpose": "batch"}, files={"file": (name, b'{"a": 1}\n')})
    if made.status_code == 400:
        return  # refused by name is fine, too
    number = made.json()["id"]

    content = alice.get(f"/v1/files/{number}/content")

    assert content.headers["content-disposition"] == f'attachment; filename="{number}"'
    assert "x-evil" not in content.headers
    assert "set-cookie" not in content.headers


def test_a_mails_subject_is_one_line(cast: Cast) -> None:
    mail.outbox.clear()
    mails.write(cast.company.pk, "of-18", ["split@example.com"], "Hi\r\nBcc: evil@example.com\n\nX", "text")

    while mails.send_due():
        pass

    (sent,) = [each for each in mail.outbox if each.to == ["split@example.com"]]
    assert sent.subject == "Hi Bcc: evil@example.com X"
    assert sent.recipients() == ["split@example.com"]
    assert sent.message()["Bcc"] is None
