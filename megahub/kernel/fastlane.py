"""The hot lane: Django's ASGI handler for async views that hold no thread.

The same URLconf style, views, errors and authentication as everywhere, without a thread per request,
without the synchronous middleware and without the thread hops that close database connections (a
fast view opens none; it writes through the journal). ``asgi.py`` sends a request here when ``match``
finds a view marked with ``fast(...)`` for its path and method.

What is kept, and tested: request signals (their receivers run on the loop, except Django's own
connection keepers), streaming, and a client's disconnect, which cancels a stream's generator.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal
from django.http import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, URLPattern, URLResolver
from django.urls.resolvers import RegexPattern

from megahub.kernel.connection import opened
from megahub.kernel.errors import BodyTooLarge, HubError
from megahub.kernel.pages import NO_PAGE
from megahub.kernel.requests import error_response, request_id, unexpected

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
View = Callable[..., Awaitable[HttpResponseBase]]

#: Receivers that only tend to the ORM's connections of a thread, of which a fast view has none.
CONNECTION_KEEPERS = (close_old_connections, reset_queries)
#: A body that comes in pieces is there by then, or its client is let go.
BODY_SECONDS = 120.0
#: A client that takes nothing of its stream for so long is gone, whatever its connection says.
READ_SECONDS = 60.0
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", NO_PAGE.encode()),
]


class Disconnected(Exception):
    """The client went away before its body was read."""


def fast(*methods: str) -> Callable[[View], Callable[..., Any]]:
    """Mark an async view for the hot lane, for these methods. (Django's ``path`` knows no async views.)"""

    def mark(view: View) -> Callable[..., Any]:
        view.fast_methods = frozenset(methods)  # type: ignore[attr-defined]
        return view

    return mark


def takes_stream(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a fast view that reads its own body, by ``request.hub_receive``: one that may be large."""
    view.takes_stream = True  # type: ignore[attr-defined]
    return view


class FastLane:
    """An ASGI application for the fast views among ``patterns``."""

    def __init__(self, patterns: list[URLPattern | URLResolver]) -> None:
        self.resolver = URLResolver(RegexPattern(r"^/"), patterns)

    def match(self, scope: dict[str, Any]) -> ResolverMatch | None:
        """The fast view for this path (a slash at its end may be missing) and method, if there is one."""
        found = self._resolve(scope["path"]) or self._resolve(scope["path"] + "/")
        if found is None:
            return None
        return found if scope["method"] in getattr(found.func, "fast_methods", ()) else None

    def _resolve(self, path: str) -> ResolverMatch | None:
        try:
            return self.resolver.resolve(path)
        except Resolver404:
            return None

    async def handle(
        self, match: ResolverMatch, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        await _tell(signals.request_started, scope=scope)
        request = ASGIRequest(scope, BytesIO())
        request.resolver_match = match
        try:
            response = await self._answer(request, match, receive)
            await self.send(request, response, receive, send)
        except Disconnected:
            pass
        finally:
            await _tell(signals.request_finished)

    @staticmethod
    async def _answer(request: ASGIRequest, match: ResolverMatch, receive: Receive) -> HttpResponseBase:
        """What the view says, or the error. Raises Disconnected."""
        try:
            if getattr(match.func, "takes_stream", False):
                request.hub_receive = receive  # type: ignore[attr-defined]
            else:
                request._body = await read_body(request.scope, receive)
            response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        except Disconnected:
            raise
        except HubError as error:
            return error_response(request, error)
        except Exception as error:  # noqa: BLE001 - logged with its traceback, answered as a 500
            return unexpected(request, error)
        return response

    async def send(
        self, request: ASGIRequest, response: HttpResponseBase, receive: Receive, send: Send
    ) -> None:
        """Send the response; a stream ends early when its client disconnects."""
        headers = [(k.encode("ascii"), v.encode("latin1")) for k, v in response.items()]
        headers += [(b"X-Request-ID", request_id(request).encode()), *SECURITY_HEADERS]
        if not response.streaming:
            content = response.content  # type: ignore[attr-defined]
            headers.append((b"Content-Length", str(len(content)).encode()))
            await send(_start(response.status_code, headers))
            await send({"type": "http.response.body", "body": content})
            return
        await send(_start(response.status_code, headers))
        connection = opened()
        streaming = asyncio.ensure_future(_stream(response, send))
        watching = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait({streaming, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connection.hung_up = watching.done()
            watching.cancel()
            if not streaming.done():
                streaming.cancel()
            await asyncio.gather(streaming, watching, return_exceptions=True)
        if streaming.cancelled():
            return
        if isinstance(error := streaming.exception(), TimeoutError):
            log.info("stream at %s: its client reads no more", request.path)
        elif error is not None:
            log.error("stream at %s broke", request.path, exc_info=error)


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _stream(response: Any, send: Send) -> None:
    # Not ``streaming_content``: Django's wrapper would leave the generator to the garbage collector.
    async with aclosing(response._iterator) as parts:
        async for part in parts:
            async with asyncio.timeout(READ_SECONDS):
                await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(scope: Mapping[str, Any], receive: Receive) -> bytes:
    """The whole body. Raises BodyTooLarge by its declared or its true size, or Disconnected."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_body(scope, receive)
    except TimeoutError:
        raise Disconnected from None


async def _read_body(scope: Mapping[str, Any], receive: Receive) -> bytes:
    limit = settings.HUB_MAX_BODY_BYTES
    declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(limit_bytes=limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(limit_bytes=limit)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def pieces(request: Any) -> AsyncIterator[bytes]:
    """The body of a request to a view that ``takes_stream``, as it arrives. Raises Disconnected."""
    while True:
        message = await request.hub_receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


def bounded(receive: Receive) -> Receive:
    """``receive`` that ends a body one byte past HUB_MAX_BODY_BYTES: enough to see that it is too large.

    Django's own handler would write a body of any size to disk before a parser could refuse it.
    """
    left = settings.HUB_MAX_BODY_BYTES + 1

    async def limited() -> dict[str, Any]:
        nonlocal left
        message = await receive()
        while message["type"] == "http.request" and left == 0:
            message = await receive()  # behind the end that was told: Django expects a disconnect only
        if message["type"] == "http.request":
            content = message.get("body", b"")[:left]
            left -= len(content)
            more = bool(message.get("more_body")) and left > 0
            return {**message, "body": content, "more_body": more}
        return message

    return limited


async def _tell(signal: Signal, **facts: Any) -> None:
    """Send a request signal to its receivers on the loop, past the connection keepers."""
    synchronous, asynchronous = signal._live_receivers(FastLane)
    for receiver in synchronous:
        if receiver not in CONNECTION_KEEPERS:
            receiver(signal=signal, sender=FastLane, **facts)
    for receiver in asynchronous:
        await receiver(signal=signal, sender=FastLane, **facts)
