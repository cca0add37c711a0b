"""A proxy before one server that passes bytes on, or resets, swallows or delays them."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools.chaos.plan import Weather

LATENCY_SECONDS = 5.0
PIECE_BYTES = 64 * 1024
LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
NO_SERVICE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Address = Path | tuple[str, int]


@dataclass(eq=False)
class Proxy:
    """Listens at ``here`` (a socket's path, or host and port) for the server at ``there``.

    ``weather`` None passes everything on. ``reset`` ends connections and refuses new ones as a
    firewall would; ``black hole`` accepts and holds everything back until it is over; ``latency``
    delays every piece; ``down`` answers each request over HTTP that there is no service (``refused``
    counts them).
    """

    here: Address
    there: Address
    weather: Weather | None = None
    latency_seconds: float = LATENCY_SECONDS
    refused: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen from now on."""
        self._flowing.set()
        if isinstance(self.here, Path):
            self._server = await asyncio.start_unix_server(self._serve, self.here)
        else:
            self._server = await asyncio.start_server(self._serve, *self.here)

    async def close(self) -> None:
        """Listen no more; what is connected is cut."""
        if self._server is not None:
            self._server.close()
        self.change("reset")
        await asyncio.gather(*self._serving, return_exceptions=True)

    def change(self, weather: Weather | None) -> None:
        """From now on the weather is another."""
        self.weather = weather
        if weather == "black hole":
            self._flowing.clear()
        else:
            self._flowing.set()
        if weather in ("reset", "down"):
            for writer in list(self._open):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await self._between(reader, writer)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.weather == "down":
                await self._refuse(reader, writer)
            if self.weather in ("reset", "down"):
                raise ConnectionError
            if isinstance(self.there, Path):
                back, forth = await asyncio.open_unix_connection(self.there)
            else:
                back, forth = await asyncio.open_connection(*self.there)
        except OSError:
            await _cut(writer)
            return
        self._open |= {writer, forth}
        try:
            await asyncio.gather(self._pass_on(reader, forth), self._pass_on(back, writer))
        finally:
            self._open -= {writer, forth}
            await _cut(forth)
            await _cut(writer)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            self.refused += 1
            writer.write(NO_SERVICE)
            await writer.drain()
            writer.write_eof()
            await reader.read()
        self._open.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self.weather == "latency":
                    await asyncio.sleep(self.latency_seconds)
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


async def _cut(writer: asyncio.StreamWriter) -> None:
    """End a connection at once; what had to be said was drained."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def serve(pairs: list[str]) -> None:
    """``host:port=/socket`` each: what comes there is passed on, until this process is ended."""
    for pair in pairs:
        here, _, there = pair.partition("=")
        host, _, port = here.rpartition(":")
        await Proxy((host, int(port)), Path(there)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
