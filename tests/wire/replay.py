"""A provider on loopback that plays back recorded bytes and keeps what was asked of it.

Plain TCP rather than a web framework: a test says which bytes leave in which piece, with which pause
between them and where the connection breaks, and reads the request as it came over the wire.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The connection is reset: no end of the body, no goodbye.
RESET = object()
#: The test says when to go on (``Provider.go_on``).
WAIT = object()
#: Bytes of one piece, seconds to pause, or one of the marks above.
Step = bytes | float | object


@dataclass(frozen=True)
class Request:
    """What the hub sent: the header names as written, the body as bytes."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Provider:
    """``answer`` queues what the next request gets; ``requests`` are those that came."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    _queued: deque[list[Step]] = field(default_factory=deque)
    _serving: set[asyncio.Task[Any]] = field(default_factory=set)

    def answer(self, *steps: Step) -> None:
        """Play these steps for the next request."""
        self._queued.append(list(steps))

    @property
    def request(self) -> Request:
        """The only request that came."""
        (only,) = self.requests
        return only

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request, one answer."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            self.requests.append(await _request(reader))
            for step in self._queued.popleft():
                await self._play(step, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that goes away is part of what is tested
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self) -> None:
        """Leave whoever is still being served."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _play(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if step is RESET:
            writer.transport.abort()
        elif step is WAIT:
            await self.go_on.wait()
        elif isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, float):
            # A client that hangs up meanwhile is noticed: it sends nothing more than its end.
            with suppress(TimeoutError):
                async with asyncio.timeout(step):
                    await reader.read(1)
                    self.hung_up.set()


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    return Request(method, path, headers, body)


@asynccontextmanager
async def listening() -> AsyncIterator[Provider]:
    """A provider that listens while the block lasts."""
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        await provider.stop()


def head(status: int, headers: dict[str, str]) -> bytes:
    """A status line and headers."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def whole(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> bytes:
    """An answer in one piece; a body that is not bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
    return head(status, {**length, **(headers or {})}) + raw


def zipped(body: Any) -> bytes:
    """The same, compressed."""
    raw = gzip.compress(json.dumps(body).encode())
    return whole(raw, headers={"Content-Encoding": "gzip"})


def opened(headers: dict[str, str] | None = None) -> bytes:
    """The head of a stream of server-sent events in chunks."""
    kind = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
    return head(200, {**kind, **(headers or {})})


def chunk(raw: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(raw):x}\r\n".encode() + raw + b"\r\n"


#: The end of a chunked body.
LAST = b"0\r\n\r\n"


def streamed(raw: bytes, headers: dict[str, str] | None = None) -> list[Step]:
    """A whole stream, an event a piece."""
    events = [event + b"\n\n" for event in raw.split(b"\n\n") if event.strip()]
    return [opened(headers), *map(chunk, events), LAST]


def events(items: Iterable[Any], *, done: bool = True) -> bytes:
    """Values as server-sent events."""
    raw = b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in items)
    return raw + (b"data: [DONE]\n\n" if done else b"")


def recorded(folder: Path, name: str) -> Any:
    """A recorded body: JSON, or the bytes of a stream."""
    file = folder / name
    return json.loads(file.read_text()) if file.suffix == ".json" else file.read_bytes()


def data_of(raw: bytes) -> list[Any]:
    """The values of a recorded stream, ``[DONE]`` left out."""
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]
