"""The only module that opens a socket to a provider.

aiohttp rather than httpx: measured at a third of the CPU per call (docs/performance.md,
docs/decisions/0002-aiohttp.md). One session per event loop, never per request; no redirects, no
cookies, no proxies from the environment; nothing is retried here. The event loop's session is made
on first use and closed by ``close``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
import orjson

from ai_providers.domain.wire import Access
from megahub.kernel import body, clock
from megahub.kernel.errors import (
    ProviderDisconnected,
    ProviderMalformed,
    ProviderTimeout,
    ProviderUnavailable,
)

MAX_CONNECTIONS = 1000
KEEPALIVE_SECONDS = 30
#: An answer (or a whole stream) that is larger is not an answer.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
#: Enough of an error's body to find its code in.
MAX_ERROR_BYTES = 64 * 1024
DONE = b"[DONE]"
NEVER_SENT = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL)

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: its headers (names in lower case) and its JSON."""

    status: int
    headers: dict[str, str]
    json: Any


class Refusal(Exception):
    """Any status but 2xx; the adapter maps it to a HubError."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


async def call(
    access: Access, method: str, url: str, headers: dict[str, str], content: bytes | None = None
) -> Answer:
    """One request, its whole answer. Raises Refusal or what ``_translated`` says."""
    with _translated(access):
        response = await _begun(access, method, url, headers, content)
        try:
            pieces = [piece async for piece in _pieces(access, response)]
            return Answer(response.status, _names(response), _json(access, b"".join(pieces)))
        finally:
            response.close()


async def upload(access: Access, url: str, headers: dict[str, str], path: Path, filename: str) -> Answer:
    """One file of requests as a form, read from disk as it is sent. Raises as ``call`` does."""
    with _translated(access), path.open("rb") as file:
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", file, filename=filename, content_type="application/jsonl")
        async with _sent(access, "POST", url, headers, form) as response:
            pieces = [piece async for piece in _pieces(access, response)]
            return Answer(response.status, _names(response), _json(access, b"".join(pieces)))


async def download(access: Access, url: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """A file's bytes as they come, however many. Raises as ``call`` does."""
    with _translated(access):
        async with _sent(access, "GET", url, headers, None) as response:
            while not response.content.at_eof():
                async with asyncio.timeout(access.between_bytes_seconds):
                    piece = await response.content.readany()
                yield piece


async def events(
    access: Access, url: str, headers: dict[str, str], content: bytes
) -> AsyncIterator[tuple[dict[str, str], Any]]:
    """One streamed request: (headers, JSON) per server-sent event; None as JSON for ``[DONE]``.

    Raises as ``call`` does. A stream that ends without ``[DONE]`` ends the iteration; whether that
    was its end is for the adapter to say.
    """
    with _translated(access):
        async with _sent(access, "POST", url, headers, content) as response:
            names = _names(response)
            pending = b""
            async for piece in _pieces(access, response):
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    data = line[5:].strip() if line.startswith(b"data:") else b""
                    if data:
                        yield names, None if data == DONE else _json(access, data)


async def _pieces(access: Access, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TimeoutError when it falls silent."""
    size = 0
    content = response.content
    while not content.at_eof():
        piece = content.read_nowait()  # a short answer comes with its headers: nothing is waited for
        if not piece:
            async with asyncio.timeout(access.between_bytes_seconds):
                piece = await content.readany()
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise ProviderMalformed(provider=access.provider)
        yield piece


def _names(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _json(access: Access, raw: bytes) -> Any:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ProviderMalformed(provider=access.provider) from error
    return body.without_nul(value) if b"\\u0000" in raw else value


@asynccontextmanager
async def _sent(
    access: Access,
    method: str,
    url: str,
    headers: dict[str, str],
    content: bytes | aiohttp.FormData | None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """``_begun``, and closed when the block ends."""
    response = await _begun(access, method, url, headers, content)
    try:
        yield response
    finally:
        # A body that was read to its end has given its connection back already.
        response.close()


async def _begun(
    access: Access,
    method: str,
    url: str,
    headers: dict[str, str],
    content: bytes | aiohttp.FormData | None,
) -> aiohttp.ClientResponse:
    """Send a request and wait for the answer's first byte; raise Refusal unless it is a 2xx."""
    timeout = _timeout(access.connect_seconds, access.first_byte_seconds)
    response = await _session().request(
        method, url, data=content, headers=headers, timeout=timeout, allow_redirects=False
    )
    if 200 <= response.status < 300:
        return response
    try:
        raise Refusal(await _refusal(access, response))
    finally:
        response.close()


@lru_cache(maxsize=100)
def _timeout(connect_seconds: float, first_byte_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds, sock_read=first_byte_seconds)


async def _refusal(access: Access, response: aiohttp.ClientResponse) -> Answer:
    """A refusal with what can be read of its body: without one, its status says enough."""
    raw, value = b"", None
    with suppress(TimeoutError, aiohttp.ClientError):
        async for piece in _pieces(access, response):
            raw += piece
            if len(raw) > MAX_ERROR_BYTES:
                break
    with suppress(orjson.JSONDecodeError):
        value = body.without_nul(orjson.loads(raw))
    return Answer(response.status, _names(response), value)


class _translated:  # noqa: N801 - reads as a function; a generator costs more with every call
    """What goes wrong on the way, as HubErrors.

    ProviderUnavailable: no connection, so nothing was sent. ProviderTimeout and ProviderDisconnected:
    it fell silent or broke after the request had left, so that the outcome is not known.
    """

    __slots__ = ("provider",)

    def __init__(self, access: Access) -> None:
        self.provider = access.provider

    def __enter__(self) -> None:
        """Nothing is prepared."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            return
        if isinstance(error, NEVER_SENT):
            raise ProviderUnavailable(provider=self.provider) from error
        if isinstance(error, TimeoutError):
            raise ProviderTimeout(provider=self.provider) from error
        if isinstance(error, aiohttp.ClientResponseError):
            # It holds the request with its headers, the key among them.
            raise ProviderDisconnected(provider=self.provider) from None
        if isinstance(error, aiohttp.ClientError):
            raise ProviderDisconnected(provider=self.provider) from error


def _session() -> aiohttp.ClientSession:
    running = asyncio.get_running_loop()
    session = _sessions.get(running)
    if session is None or session.closed:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=60
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            skip_auto_headers=("User-Agent",),
        )
        _sessions[running] = session
    return session


async def close() -> None:
    """Close this event loop's connections."""
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.close()


def seconds_until(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or an HTTP date; None for anything else."""
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date that names no zone is UTC's, as HTTP has it.
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock.now()).total_seconds())
