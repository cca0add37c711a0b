"""What becomes of each call to a provider, for Prometheus and for those who look after the keys."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from ai_providers import services as providers
from ai_providers.domain.wire import Access, RateLimits
from megahub.kernel import clock, loop
from megahub.kernel.errors import HubError, InvalidApiKey

CALLS = Counter(
    "megahub_provider_calls", "Calls to providers by outcome", ["provider", "source", "outcome"]
)
CALL_SECONDS = Histogram(
    "megahub_provider_call_seconds",
    "Time of calls to providers, to the last byte",
    ["provider"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
REMAINING = Gauge(
    "megahub_provider_remaining",
    "What the rate limits of the hub's own keys leave, as the provider last said",
    ["provider", "what"],
)


#: A label's counter is looked for under a lock; there are few of them.
_counter = lru_cache(maxsize=500)(CALLS.labels)
_seconds = lru_cache(maxsize=50)(CALL_SECONDS.labels)


class watched:  # noqa: N801 - reads as a function; a generator costs more with every call
    """Count a call and its time; a stored key that the provider refuses is marked as such."""

    __slots__ = ("access", "began")

    def __init__(self, access: Access) -> None:
        self.access = access
        self.began = time.monotonic()

    async def __aenter__(self) -> None:
        """The time has begun."""

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        access, outcome = self.access, "ok" if error is None else "cancelled"
        try:
            if isinstance(error, HubError):
                outcome = error.code.lower()
                if isinstance(error, InvalidApiKey) and access.credentials_id is not None:
                    sound = await loop.in_thread(providers.mark_refused, access.credentials_id)
                    error.facts["last_validated"] = clock.iso(sound)
        finally:
            _counter(access.provider, access.source, outcome).inc()
            _seconds(access.provider).observe(time.monotonic() - self.began)


def told(access: Access, limits: RateLimits) -> None:
    """Show what the provider leaves of its limits; those of a company's key are its own affair."""
    if access.source == "own":
        return
    for what in ("remaining_requests", "remaining_tokens"):
        number = getattr(limits, what)
        if number is not None:
            REMAINING.labels(access.provider, what.removeprefix("remaining_")).set(number)
