"""Sending to an address that a company named: resolved, checked and pinned at every send.

The only module beside ``ai_providers.adapters.http`` that opens a socket outwards. The name is asked
for once; every address of the answer must be outside; the connection goes to one of these, with the
host name kept for TLS. No redirects, no proxies, no cookies, no compression, a deadline over all.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from megahub.delivery.domain import addresses

TIMEOUT_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024
GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """How a send went: the ``status`` (None without an answer), or an ``error`` in a few words."""

    status: int | None
    ms: int
    error: str = ""
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300 and not self.error


class NotAllowed(OSError):
    """The name leads inside; an OSError, as aiohttp expects of a resolver that fails."""


class Checked(AbstractResolver):
    """Resolves once per connection and gives aiohttp only addresses that may be connected to."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await look_up(host, port)
        if not found or not all(_allowed(address) for _, address in found):
            raise NotAllowed(f"{host} does not lead to a public address")
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
            for kind, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def look_up(host: str, port: int) -> list[tuple[int, str]]:
    """Every address of a name: (family, address). Raises OSError."""
    running = asyncio.get_running_loop()
    infos = await running.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((int(info[0]), str(info[4][0])) for info in infos))


async def send(url: str, headers: dict[str, str], body: bytes) -> Answer:
    """POST ``body``; never raises for what the receiver or the network does."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            status, retry_after, error = await _post(url, headers, body)
    except addresses.Refused as refused:
        return Answer(None, _ms(began), str(refused))
    except TimeoutError:
        return Answer(None, _ms(began), f"no answer within {TIMEOUT_SECONDS:.0f} s")
    except (aiohttp.ClientError, OSError, ValueError) as failed:
        return Answer(None, _ms(began), _why(failed))
    return Answer(status, _ms(began), error, retry_after)


async def _post(url: str, headers: dict[str, str], body: bytes) -> tuple[int, float | None, str]:
    addresses.check_url(url, allow_private=settings.HUB_WEBHOOKS_ALLOW_PRIVATE)
    # A connector of its own: a connection that was kept would not be resolved and checked again.
    connector = aiohttp.TCPConnector(resolver=Checked(), use_dns_cache=False, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding"),
    ) as session:
        _refuse_inner_literal(url)
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            size = 0
            async for piece in response.content.iter_any():
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    break
            error = "" if 200 <= response.status < 300 else f"answered {response.status}"
            return response.status, _seconds(response.headers.get("Retry-After")), error


def _refuse_inner_literal(url: str) -> None:
    """aiohttp does not ask the resolver about a host that is written as an address."""
    host = URL(url).host or ""
    looks_literal = ":" in host or host.replace(".", "").isdigit()
    if looks_literal and not _allowed(host):
        raise addresses.Refused(f"{host} is not a public address")


def _allowed(address: str) -> bool:
    return addresses.is_allowed(address, allow_private=settings.HUB_WEBHOOKS_ALLOW_PRIVATE)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


def _ms(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _why(failed: Exception) -> str:
    """A few words on a failure; never the request, whose headers hold signatures."""
    if isinstance(failed, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the TLS certificate was not accepted"
    inner: Any = getattr(failed, "os_error", failed)
    if isinstance(inner, NotAllowed):
        return str(inner)
    if isinstance(failed, aiohttp.ClientConnectorDNSError):
        return "the host name is not known"
    if isinstance(failed, aiohttp.ClientConnectorError | ConnectionError):
        return "no connection"
    return type(failed).__name__
