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
        self._forgotten = 0
        _all.append(self)

    def get(self, key: K) -> V:
        """The value, loaded in this thread when it is not remembered. Raises what ``load`` raises."""
        found = self._entries.get(key)
        if found is None or found[0] < time.monotonic():
            return self._fetch(key)
        return self._unwrap(found)

    def get_all(self, keys: list[K], load_all: Callable[[list[K]], dict[K, V]]) -> dict[K, V]:
        """The values of many keys; those that are not remembered are loaded together, by ``load_all``."""
        now, forgotten = time.monotonic(), self._forgotten
        entries = {key: self._entries.get(key) for key in keys}
        found = {key: self._unwrap(entry) for key, entry in entries.items() if entry and entry[0] >= now}
        fresh = load_all([key for key in keys if key not in found]) if len(found) < len(keys) else {}
        for key, value in fresh.items():
            self._remember(key, (now + self.ttl_seconds, value, None), forgotten)
        return found | fresh

    async def aget(self, key: K) -> V:
        """The same on the event loop: a load runs in a reader thread, once for all who wait.

        What is in use is loaded again once half of its time is over, while requests go on with what
        is remembered: nobody waits for it, and it never gets older than ``ttl_seconds``.
        """
        found = self._entries.get(key)
        left = -1.0 if found is None else found[0] - time.monotonic()
        if found is None or left < 0:
            return await asyncio.shield(self._loaded(key))
        if left < self.ttl_seconds / 2:
            self._loaded(key)
        return self._unwrap(found)

    def _loaded(self, key: K) -> asyncio.Future[V]:
        """The load of ``key`` that is under way, or a new one."""
        waiting = self._loading.get(key)
        if waiting is None or waiting.get_loop() is not asyncio.get_running_loop():
            waiting = asyncio.ensure_future(loop.in_thread(self._fetch, key))
            self._loading[key] = waiting
            waiting.add_done_callback(lambda done: self._end(key, done))
        return waiting

    def _end(self, key: K, done: asyncio.Future[V]) -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            done.exception()  # whoever waits for it raises it; a load ahead of time may have nobody

    def forget(self, key: K | None = None) -> None:
        """Forget one key, or everything; what is being loaded at this moment is not remembered."""
        self._forgotten += 1
        if key is None:
            self._entries.clear()
            self._loading.clear()
        else:
            self._entries.pop(key, None)
            self._loading.pop(key, None)

    def _fetch(self, key: K) -> V:
        until, forgotten = time.monotonic() + self.ttl_seconds, self._forgotten
        try:
            value = self.load(key)
        except HubError as error:
            self._remember(key, (until, None, error), forgotten)
            raise
        self._remember(key, (until, value, None), forgotten)
        return value

    def _remember(self, key: K, entry: tuple[float, V | None, HubError | None], forgotten: int) -> None:
        if forgotten != self._forgotten:
            return
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
