"""The floor: a bare ASGI application that makes the same upstream call and does nothing else."""

from __future__ import annotations

import os
from typing import Any

import aiohttp

URL = os.environ.get("FLOOR_UPSTREAM", "http://127.0.0.1:9200/v1/chat/completions")
HEADERS = {"Authorization": "Bearer sk-bench", "Content-Type": "application/json"}
_session: list[aiohttp.ClientSession] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Pass the body on, and the answer back."""
    if scope["type"] == "lifespan":
        await receive()
        _session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000)))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _session[0].close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = (await receive())["body"]
    async with _session[0].post(URL, data=body, headers=HEADERS) as response:
        answer = await response.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
