"""The proxy that ``./hub chaos`` puts before the servers."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tools.chaos.proxy import Proxy


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as short:  # a socket's path is short; pytest's folders are not
        yield Path(short)


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            while piece := self.request.recv(100):
                self.request.sendall(piece)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[Proxy]:
    with socketserver.ThreadingUnixStreamServer(str(folder / "there"), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        proxy = Proxy(folder / "here", folder / "there", latency_seconds=0.2)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.close()
            server.shutdown()
            thread.join()


async def is_over(reader: asyncio.StreamReader) -> bool:
    """Whether the connection has been ended without a word."""
    try:
        return await asyncio.wait_for(reader.read(100), 2.0) == b""
    except ConnectionError:
        return True


async def answer(folder: Path, seconds: float = 2.0) -> bytes:
    reader, writer = await asyncio.open_unix_connection(folder / "here")
    try:
        writer.write(b"hello")
        return await asyncio.wait_for(reader.read(100), seconds)
    finally:
        await close(writer)


@pytest.mark.asyncio
async def test_it_passes_on(folder: Path) -> None:
    async with proxied(folder):
        assert await answer(folder) == b"hello"


@pytest.mark.asyncio
async def test_reset_ends_what_is_open_and_refuses_what_comes(folder: Path) -> None:
    async with proxied(folder) as proxy:
        reader, writer = await asyncio.open_unix_connection(folder / "here")
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        proxy.change("reset")
        assert await is_over(reader)
        await close(writer)
        reader, writer = await asyncio.open_unix_connection(folder / "here")
        assert await is_over(reader)
        await close(writer)
        proxy.change(None)
        assert await answer(folder) == b"hello"


@pytest.mark.asyncio
async def test_a_black_hole_holds_everything_until_it_is_over(folder: Path) -> None:
    async with proxied(folder) as proxy:
        proxy.change("black hole")
        waiting = asyncio.create_task(answer(folder, 10))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        proxy.change(None)
        assert await waiting == b"hello"


@pytest.mark.asyncio
async def test_latency_passes_on_later(folder: Path) -> None:
    async with proxied(folder) as proxy:
        proxy.change("latency")
        with pytest.raises(TimeoutError):
            await answer(folder, 0.1)
        assert await answer(folder) == b"hello"


@pytest.mark.asyncio
async def test_down_answers_that_there_is_no_service(folder: Path) -> None:
    async with proxied(folder) as proxy:
        proxy.change("down")
        for _ in range(2):
            reader, writer = await asyncio.open_unix_connection(folder / "here")
            writer.write(b"POST /v1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
            assert (await reader.read(100)).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            await close(writer)
        assert proxy.refused == 2
        proxy.change(None)
        assert await answer(folder) == b"hello"
