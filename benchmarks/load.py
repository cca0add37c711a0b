"""A closed-loop load: so many connections, each sending its next request when the last was answered.

``python -m benchmarks.load '{"url": …, "headers": …, "body": …, "connections": 16, "seconds": 5}'``
prints one JSON line. Loopback only; bounded by its seconds. A connection reads whole answers (by
content-length or chunked to its end) and notes when the first byte of a body came.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop

WARM_UP_SECONDS = 1.0


@dataclass
class Tally:
    """What all connections saw after the warm-up; times in seconds."""

    counts_from: float
    until: float
    wants: str = "200"
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    bad: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self.request = request
        self.tally = tally
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.pending = b""
        self.head = b""
        self.length = -1
        self.first = 0.0
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.pending += data
        if not self.head:
            end = self.pending.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = self.pending[:end].lower()
            self.pending = self.pending[end + 4 :]
            at = self.head.find(b"content-length:")
            self.length = int(self.head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else -1
        if self.pending and not self.first:
            self.first = time.perf_counter()
        whole = self.pending.endswith(b"0\r\n\r\n") if self.length < 0 else len(self.pending) >= self.length
        if whole:
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        tally = self.tally
        if now >= tally.counts_from:
            status = self.head[9:12].decode()
            tally.statuses[status] = tally.statuses.get(status, 0) + 1
            tally.bad += status != tally.wants or b'"error"' in self.pending[-300:]
            tally.latencies.append(now - self.began)
            tally.first_bytes.append((self.first or now) - self.began)
        if now < tally.until:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


async def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Drive the load; rates per second, times in milliseconds."""
    parts = urlsplit(asked["url"])
    if parts.hostname not in ("127.0.0.1", "localhost"):
        raise SystemExit("load goes to loopback only")
    body = json.dumps(asked["body"]).encode()
    headers = {"Host": "bench", "Content-Type": "application/json", **asked.get("headers", {})}
    lines = [f"POST {parts.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    lines.append(f"Content-Length: {len(body)}")
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    began = time.perf_counter()
    counts_from = began + WARM_UP_SECONDS
    tally = Tally(counts_from, counts_from + asked["seconds"], asked.get("wants", "200"))
    loop = asyncio.get_running_loop()
    made = [
        loop.create_connection(lambda: Connection(request, tally), parts.hostname, parts.port)
        for _ in range(asked["connections"])
    ]
    protocols = [protocol for _, protocol in await asyncio.gather(*made)]
    await asyncio.wait_for(
        asyncio.gather(*(protocol.ended for protocol in protocols)), asked["seconds"] + 60
    )
    took = time.perf_counter() - tally.counts_from
    return {
        "rps": len(tally.latencies) / took,
        "requests": len(tally.latencies),
        "p50_ms": quantile(tally.latencies, 0.5),
        "p99_ms": quantile(tally.latencies, 0.99),
        "first_p50_ms": quantile(tally.first_bytes, 0.5),
        "first_p99_ms": quantile(tally.first_bytes, 0.99),
        "bad": tally.bad,
        "statuses": tally.statuses,
    }


def quantile(values: list[float], share: float) -> float | None:
    """The value below which ``share`` lie, in milliseconds; None of nothing."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
