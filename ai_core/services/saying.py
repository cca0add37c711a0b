"""What a running job has said and its client has not read yet."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson

from megahub.kernel.errors import JobCancelled

#: A client that leaves more than this unread is let go: what it does not read is held in memory.
MAX_UNREAD_BYTES = 1024 * 1024
#: Proxies cut a connection on which nothing is said; a reasoning model may be silent for minutes.
HEARTBEAT_SECONDS = 15.0
#: Stands for "still there" among the chunks.
HEARTBEAT: dict[str, Any] = {}


class Said:
    """A queue of chunks from a job to its client, bounded by bytes; ``None`` is its end."""

    def __init__(self, *, bounded: bool = True) -> None:
        #: An answer that was held back lies in memory anyway: it is told at one go.
        self._most = MAX_UNREAD_BYTES if bounded else sys.maxsize
        self._waiting: asyncio.Queue[tuple[int, dict[str, Any] | None]] = asyncio.Queue()
        self._unread = 0

    def put(self, data: dict[str, Any] | None) -> None:
        """Say something. Raises JobCancelled when too much lies unread."""
        size = 0 if data is None else len(orjson.dumps(data))
        self._unread += size
        if self._unread > self._most:
            raise JobCancelled(
                "The stream was read too slowly; more than {limit_bytes} bytes lay unread.",
                words={"limit_bytes": MAX_UNREAD_BYTES},
            )
        self._waiting.put_nowait((size, data))

    def end(self) -> None:
        """Nothing more is said."""
        self._waiting.put_nowait((0, None))

    async def get(self) -> dict[str, Any] | None:
        """The next chunk, HEARTBEAT when there was none for a while, None at the end."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS if self._waiting.empty() else None):
                size, data = await self._waiting.get()
        except TimeoutError:
            return HEARTBEAT
        self._unread -= size
        return data
