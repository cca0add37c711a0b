"""The process's event loop, and the ways between it and threads.

A web process registers the server's loop at start-up, a worker its own; anything else (commands,
tests) gets a loop in a background thread the first time it needs one. Everything bound to a loop
(provider connections, running jobs) lives on this one.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import uvloop
from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="hub-read")


def calm_collector() -> None:
    """Take what start-up made out of the garbage collector's sight, and have it look less often.

    A full collection walks every model, route and catalogue row: some 40 ms in which nothing on the loop
    goes on (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)


def adopt(loop: asyncio.AbstractEventLoop) -> None:
    """Make ``loop`` (running) the process's loop."""
    global _loop
    _loop = loop


def current() -> asyncio.AbstractEventLoop:
    """The process's loop; starts one in a daemon thread when there is none yet."""
    return _current(asyncio.new_event_loop)


def begin_fast() -> None:
    """Begin the process's loop as the web server's is, with uvloop: for workers, before anything runs."""
    _current(uvloop.new_event_loop)


def _current(new: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    with _lock:
        if _loop is None or _loop.is_closed():
            fresh = new()
            threading.Thread(target=fresh.run_forever, name="hub-loop", daemon=True).start()
            adopt(fresh)
        assert _loop is not None
        return _loop


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run ``coroutine`` on the process's loop; answers at once with its future. From any thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, current())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` on the process's loop and wait. From synchronous code, never from the loop."""
    return start(coroutine).result()


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous (ORM) code in one of a few reader threads and wait for it."""

    context = contextvars.copy_context()

    def call() -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(_readers, context.run, call)


def close_reader_connections() -> None:
    """Close the database connections of the reader threads (before a test database is dropped)."""
    barrier = threading.Barrier(_readers._max_workers)

    def close() -> None:
        barrier.wait(timeout=5)
        connections.close_all()

    for done in [_readers.submit(close) for _ in range(_readers._max_workers)]:
        done.result()
