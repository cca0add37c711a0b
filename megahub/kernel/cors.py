"""Frontends of other origins: closed, unless HUB_CORS_ORIGINS names theirs.

For both lanes alike. Tokens travel in a header, never in a cookie: credentials are not allowed, so
that an origin named here gets no further than somebody without a session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

EXPOSED = (
    b"Retry-After, X-Request-ID, X-MegaHub-Job-Id, X-MegaHub-Sandbox, X-MegaHub-Warning,"
    b" Idempotency-Replayed, ETag, X-RateLimit-Limit-Requests, X-RateLimit-Remaining-Requests,"
    b" X-RateLimit-Reset-Requests, X-RateLimit-Limit-Tokens, X-RateLimit-Remaining-Tokens,"
    b" X-RateLimit-Reset-Tokens"
)
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Accept-Language, X-Brand-ID, Idempotency-Key, Last-Event-ID,"
        b" If-None-Match",
    ),
    (b"access-control-max-age", b"600"),
]


def allowed(scope: dict[str, Any]) -> Headers:
    """The headers that open an answer to the request's origin; none when it may not read it."""
    if not settings.HUB_CORS_ORIGINS:
        return []
    origin: bytes = next((value for name, value in scope["headers"] if name == b"origin"), b"")
    if origin.decode("latin1") not in settings.HUB_CORS_ORIGINS:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


def is_preflight(scope: dict[str, Any]) -> bool:
    """Whether a browser asks what it may send."""
    if scope["method"] != "OPTIONS" or not settings.HUB_CORS_ORIGINS:
        return False
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


async def answer_preflight(headers: Headers, send: Send) -> None:
    """Say what may be sent, to an origin that may send."""
    opened = [*headers, *PREFLIGHT] if len(headers) > 1 else headers
    await send({"type": "http.response.start", "status": 204, "headers": opened})
    await send({"type": "http.response.body", "body": b""})


def opening(headers: Headers, send: Send) -> Send:
    """``send`` that adds the headers to the answer."""

    async def opened(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return opened
