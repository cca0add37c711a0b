"""Requirement 22: a stream is its caller's alone; a slow reader is let go; a silence is told of."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from ai_core.models import AIJob
from ai_core.services import saying
from megahub.kernel import fastlane
from megahub.kernel.errors import JobCancelled
from tests import world
from tests.ai_core.test_cancel import wait_until
from tests.ai_core.test_streams import only_job, stop, usage
from tests.conftest import Api
from tests.stubs import Scripted, chunk
from tests.world import Cast

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
DOORS = ["/v1/chat/completions", "/ai/openai/chat/"]


def ended(cast: Cast) -> bool:
    return AIJob.objects.of(cast.company.pk).exclude(status="running").exists()


@pytest.mark.parametrize("door", DOORS)
def test_a_silence_is_told_of(
    api: Api, cast: Cast, provider: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    monkeypatch.setattr(saying, "HEARTBEAT_SECONDS", 0.05)
    provider([0.4, chunk("Hel"), 0.4, chunk("lo"), stop(), usage()])

    response = api.as_(cast.alice).post(door, BODY)

    assert response.text.count(": keep-alive\n\n") >= 4
    spoken = [part for part in response.text.split("\n\n") if part and not part.startswith(":")]
    texts = "".join(part for part in spoken)
    assert texts.index("Hel") < texts.index('"lo"')
    assert only_job(cast).status == "completed"


@pytest.mark.parametrize("door", DOORS)
def test_a_reader_that_does_not_read_is_let_go(
    live_url: str, cast: Cast, provider: Callable[..., Scripted], door: str
) -> None:
    """What it leaves unread is bounded, the provider's connection closed, what was said settled."""
    budget = world.make_budget(cast.company, "50")
    piece = chunk("x" * 64_000)
    provider([*[part for _ in range(400) for part in (piece, 0.002)], stop(), usage()])
    body = json.dumps(BODY).encode()
    head = (
        f"POST {door} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {cast.alice.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address = urlsplit(live_url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((address.hostname, address.port))
    with client:
        client.sendall(head.encode() + body)
        wait_until(lambda: ended(cast))

    row = only_job(cast)
    assert (row.status, row.error["code"]) == ("cancelled", "JOB_CANCELLED")
    assert "too slowly" in row.error["message"]
    (entry,) = world.ledger(row.pk)
    assert entry.kind == "settle"
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, entry.charged_nano_usd)


def test_what_lies_unread_is_bounded() -> None:
    said = saying.Said()
    pieces = 0
    with pytest.raises(JobCancelled):
        while True:
            said.put(chunk("x" * 10_000))
            pieces += 1
    assert pieces == saying.MAX_UNREAD_BYTES // 10_160


def test_a_client_that_takes_nothing_is_left(
    live_url: str, cast: Cast, provider: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastlane, "READ_SECONDS", 0.2)
    provider([*[chunk("x" * 64_000) for _ in range(15)], 0.5, chunk("x"), stop(), usage()])
    body = json.dumps(BODY).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {cast.alice.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address = urlsplit(live_url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((address.hostname, address.port))
    with client:
        client.sendall(head.encode() + body)
        wait_until(lambda: ended(cast))


def test_a_foreign_stream_is_an_absent_one(api: Api, cast: Cast, rung: list[Any]) -> None:
    job = world.submit(cast.alice, "Canary", later=True)

    for number in ("0", "1", "999999999"):
        headers = {"Last-Event-ID": number}
        foreign = api.as_(cast.charlie).get(f"/ai/jobs/{job.job_ref}/events/", headers=headers)
        assert foreign.status_code == 404
        assert "Canary" not in foreign.text


@pytest.mark.parametrize("number", ["-1", "1;drop", "9" * 30, "1e3", "٣"])
def test_a_last_event_id_is_a_number(api: Api, cast: Cast, rung: list[Any], number: str) -> None:
    job = world.submit(cast.alice, later=True)

    headers = {"Last-Event-ID": number.encode()}
    response = api.as_(cast.alice).get(f"/ai/jobs/{job.job_ref}/events/", headers=headers)  # type: ignore[arg-type]

    assert response.status_code == 400
