"""Short-lived, explicitly invalidated caches for what the hot lane reads on every request.

Keys are whole tokens and ids, never a part of one. One load at a time per key; errors are
remembered too (a flood of bad tokens must not become a flood of queries), but only HubErrors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from megahub.kernel import loop
from megahub.kernel.errors import HubError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_all: list[ShortLived] = []  # type: ignore[type-arg]


class ShortLived(Generic[K, V]):
    """``key -> load(key)`` remembered for ``ttl_seconds``; at most ``size`` entries."""

    def __init__(self, load: Callable[[K], V], ttl_seconds: float, size: int = 10_000) -> None:
        self.load = load
        self.ttl_seconds = ttl_seconds
        self.size = size
        self._entries: dict[K, tuple[float, V | None, HubError | None]] = {}
        self._loading: dict[K, asyncio.Future[V]] = {}
        _all.append(self)

    def get(self, key: K) -> V:
        """The value, loaded in this thread when it is not remembered. Raises what ``load`` raises."""
        found = self._entries.get(key)
        if found is None or found[0] < time.monotonic():
            return self._fetch(key)
        return self._unwrap(found)

    async def aget(self, key: K) -> V:
        """The same on the event loop: a load runs in a reader thread, once for all who wait."""
        found = self._entries.get(key)
        if found is not None and found[0] >= time.monotonic():
            return self._unwrap(found)
        waiting = self._loading.get(key)
        if waiting is None or waiting.get_loop() is not asyncio.get_running_loop():
            waiting = asyncio.ensure_future(loop.in_thread(self._fetch, key))
            self._loading[key] = waiting
            waiting.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(waiting)

    def forget(self, key: K | None = None) -> None:
        """Forget one key, or everything."""
        if key is None:
            self._entries.clear()
        else:
            self._entries.pop(key, None)

    def _fetch(self, key: K) -> V:
        until = time.monotonic() + self.ttl_seconds
        try:
            value = self.load(key)
        except HubError as error:
            self._remember(key, (until, None, error))
            raise
        self._remember(key, (until, value, None))
        return value

    def _remember(self, key: K, entry: tuple[float, V | None, HubError | None]) -> None:
        if len(self._entries) >= self.size:
            self._entries.clear()
        self._entries[key] = entry

    @staticmethod
    def _unwrap(entry: tuple[float, V | None, HubError | None]) -> V:
        _, value, error = entry
        if error is not None:
            raise error.with_traceback(None)
        return value  # type: ignore[return-value]


def forget_everything() -> None:
    """Empty every cache of this process (after an administrator's change, between tests)."""
    for cache in _all:
        cache.forget()
