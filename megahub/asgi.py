"""The way in: fast views on the hot lane, everything else through Django's ordinary handler.

One process serves one event loop; what it needs (its session, the journal's threads, connections to
providers) begins with the server's lifespan and ends with it, after the running jobs.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "megahub.settings.dev")
django_application = get_asgi_application()

# These need the applications that the line above has loaded.
from django.conf import settings  # noqa: E402
from django.db import DatabaseError  # noqa: E402

from ai_batch.services import line_spool  # noqa: E402
from ai_core import pipeline  # noqa: E402
from ai_core.services import spooling  # noqa: E402
from ai_core.services.sessions import PROCESS  # noqa: E402
from ai_providers.adapters import http  # noqa: E402
from ai_usage.services import rate_script  # noqa: E402
from megahub import celery  # noqa: E402, F401  (its application is everybody's)
from megahub.kernel import cors, journal, loop  # noqa: E402
from megahub.kernel import scope as rows  # noqa: E402
from megahub.kernel.fastlane import FastLane, Receive, Send, bounded  # noqa: E402
from megahub.urls import fast_urlpatterns  # noqa: E402

log = logging.getLogger(__name__)
lane = FastLane(fast_urlpatterns)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Sort a connection: lifespan, hot lane, or Django."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http":
        await _http(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1000})


async def _http(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    rows.enter_nobody()
    if origin := cors.allowed(scope):
        if cors.is_preflight(scope):
            await cors.answer_preflight(origin, send)
            return
        send = cors.opening(origin, send)
    if (match := lane.match(scope)) is not None:
        await lane.handle(match, scope, receive, send)
    else:
        await django_application(scope, bounded(receive), send)  # type: ignore[arg-type]


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    loop.calm_collector()
    loop.adopt(asyncio.get_running_loop())
    try:
        await loop.in_thread(PROCESS.begin, "web")
    except DatabaseError as error:  # /readyz tells; the session begins with the first job
        log.warning("the database does not answer yet: %s", error)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pipeline.drain(settings.HUB_DRAIN_SECONDS)
    await loop.in_thread(journal.stop)
    await loop.in_thread(PROCESS.end)
    spooling.SPOOL.close()
    line_spool.SPOOL.close()
    await http.close()
    await rate_script.close()
    await send({"type": "lifespan.shutdown.complete"})
