"""The hot lane: what it answers, what it keeps of Django, and that it holds no thread."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path

from megahub.kernel import loop
from megahub.kernel.fastlane import FastLane, bounded, fast
from megahub.kernel.requests import json_response

THREADS: list[str] = []


@fast("GET", "POST")
async def echo(request: HttpRequest, word: str) -> HttpResponse:
    THREADS.append(threading.current_thread().name)
    return json_response({"word": word, "query": request.GET.get("q"), "body": request.body.decode()})


@fast("GET")
async def broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("sk-canary-inside")


@fast("GET")
async def endless(request: HttpRequest) -> HttpResponseBase:
    async def numbers() -> Any:
        try:
            for number in range(10_000):
                yield b"%d\n" % number
                await asyncio.sleep(0.01)
        finally:
            THREADS.append("closed")

    return StreamingHttpResponse(numbers(), content_type="text/plain")


lane = FastLane([path("echo/<word>/", echo), path("v1/broken", broken), path("endless", endless)])


class Exchange:
    """One ASGI request, its parts, and what was answered."""

    def __init__(self, method: str, url: str, parts: list[bytes], hang_up_after: int = 0) -> None:
        route, _, query = url.partition("?")
        length = str(sum(map(len, parts))).encode()
        self.scope = {
            "type": "http",
            "method": method,
            "path": route,
            "query_string": query.encode(),
            "headers": [(b"content-length", length)],
        }
        self.parts = parts
        self.sent: list[dict[str, Any]] = []
        self.hang_up_after = hang_up_after
        self.enough = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.parts:
            body = self.parts.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.parts)}
        await self.enough.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if self.hang_up_after and len(self.sent) >= self.hang_up_after:
            self.enough.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return {name.lower(): value for name, value in self.sent[0]["headers"]}


def exchange(method: str, url: str, *parts: bytes, hang_up_after: int = 0) -> Exchange:
    async def run() -> Exchange:
        found = Exchange(method, url, list(parts) or [b""], hang_up_after)
        match = lane.match(found.scope)
        assert match is not None
        await lane.handle(match, found.scope, found.receive, found.send)
        return found

    return loop.run(run())


async def thread_name() -> str:
    return threading.current_thread().name


def test_it_works() -> None:
    found = exchange("POST", "/echo/hello/?q=%C3%A9", b"one ", b"two")

    assert found.status == 200
    assert found.body == '{"word":"hello","query":"é","body":"one two"}'.encode()
    assert found.headers[b"content-length"] == str(len(found.body)).encode()
    assert found.headers[b"x-request-id"].startswith(b"req_")
    assert found.headers[b"x-content-type-options"] == b"nosniff"


def test_it_runs_on_the_loop_and_opens_no_connection() -> None:
    opened = [alias.connection for alias in connections.all(initialized_only=True)]

    exchange("GET", "/echo/hello/")

    assert THREADS[-1] == loop.run(thread_name())
    assert [alias.connection for alias in connections.all(initialized_only=True)] == opened


@pytest.mark.parametrize(("method", "url"), [("DELETE", "/echo/x/"), ("GET", "/elsewhere/")])
def test_what_is_not_fast_is_left_to_django(method: str, url: str) -> None:
    assert lane.match({"path": url, "method": method}) is None


def test_an_unexpected_error_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    found = exchange("GET", "/v1/broken")

    assert found.status == 500
    assert b"An internal error occurred." in found.body
    assert b"canary" not in found.body
    assert "ZeroDivisionError" in caplog.text


def test_a_client_that_is_gone_before_its_body_is_answered_nothing() -> None:
    async def run() -> Exchange:
        found = Exchange("POST", "/echo/x/", [])
        found.enough.set()
        match = lane.match(found.scope)
        assert match is not None
        await lane.handle(match, found.scope, found.receive, found.send)
        return found

    assert loop.run(run()).sent == []


def test_hanging_up_closes_the_stream() -> None:
    found = exchange("GET", "/endless", hang_up_after=5)

    assert found.status == 200
    assert THREADS[-1] == "closed"
    assert len(found.sent) < 50


def test_hanging_up_closes_a_stream_that_waits_for_its_client() -> None:
    """At once: not when the garbage collector comes by."""

    async def run() -> list[str]:
        found = Exchange("GET", "/endless", [b""], hang_up_after=3)
        send = found.send

        async def slow(message: dict[str, Any]) -> None:
            await send(message)
            if found.enough.is_set():
                await asyncio.Event().wait()

        match = lane.match(found.scope)
        assert match is not None
        THREADS.clear()
        await lane.handle(match, found.scope, found.receive, slow)
        return list(THREADS)

    gc.disable()
    try:
        assert loop.run(run()) == ["closed"]
    finally:
        gc.enable()


def test_behind_a_body_over_the_limit_nothing_is_told(settings: Any) -> None:
    """Django's own handler takes another piece of the body for an error of the server."""
    settings.HUB_MAX_BODY_BYTES = 10
    found = Exchange("POST", "/", [b"1234567", b"8901234", b"5", b"6"])
    found.enough.set()
    receive = bounded(found.receive)

    async def told() -> list[dict[str, Any]]:
        return [await receive() for _ in range(3)]

    assert loop.run(told()) == [
        {"type": "http.request", "body": b"1234567", "more_body": True},
        {"type": "http.request", "body": b"8901", "more_body": False},
        {"type": "http.disconnect"},
    ]


def test_a_body_over_the_limit_is_refused_unread(settings: Any) -> None:
    settings.HUB_MAX_BODY_BYTES = 10

    declared = exchange("POST", "/echo/x/", b"12345678901")
    assert declared.status == 413

    async def run() -> Exchange:
        found = Exchange("POST", "/echo/x/", [b"123456", b"789012", b"never read"])
        found.scope["headers"] = []
        match = lane.match(found.scope)
        assert match is not None
        await lane.handle(match, found.scope, found.receive, found.send)
        return found

    chunked = loop.run(run())
    assert chunked.status == 413
    assert chunked.parts == [b"never read"]


def test_request_signals_reach_their_receivers() -> None:
    heard: list[str] = []

    def started(**_: Any) -> None:
        heard.append("started")

    async def finished(**_: Any) -> None:
        heard.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        exchange("GET", "/echo/x/")
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)

    assert heard == ["started", "finished"]


def test_the_clients_own_request_id_is_kept_when_it_is_plain() -> None:
    async def run(value: bytes) -> bytes:
        found = Exchange("GET", "/echo/x/", [b""])
        found.scope["headers"].append((b"x-request-id", value))
        match = lane.match(found.scope)
        assert match is not None
        await lane.handle(match, found.scope, found.receive, found.send)
        return found.headers[b"x-request-id"]

    assert loop.run(run(b"mine-1")) == b"mine-1"
    assert loop.run(run(b"bad\tid")).startswith(b"req_")
