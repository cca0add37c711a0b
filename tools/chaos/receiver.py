"""A receiver of webhooks that fails as often as it is told to, and remembers what it took."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Receiver:
    """``fails`` is the share of deliveries that it refuses. ``taken`` counts, by company and event's
    subject (``type job_id``), what it answered with 204; ``ids`` are those of the messages.
    """

    chance: random.Random
    fails: float = 0.0
    taken: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """``POST /hook/{tenant}``."""
        told = await request.json()
        if self.chance.random() < self.fails:
            self.refused += 1
            return web.Response(status=503)
        self.taken[f"{request.match_info['tenant']} {told['type']} {told['data'].get('job_id')}"] += 1
        return web.Response(status=204)


async def listen(receiver: Receiver, port: int, host: str = "127.0.0.1") -> web.AppRunner:
    """Listen there; end it with ``cleanup``."""
    app = web.Application()
    app.router.add_post("/hook/{tenant}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
