"""Other threads with connections of their own: somebody else's transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


def elsewhere(call: Callable[[], Any]) -> threading.Thread:
    """A thread that calls, not begun yet; it closes its connection."""

    def run() -> None:
        try:
            call()
        finally:
            connection.close()

    return threading.Thread(target=run)


@contextmanager
def still_open(change: Callable[[], Any]) -> Iterator[None]:
    """Somebody's change that is written, and committed behind the block only."""
    written, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            change()
            written.set()
            go_on.wait(timeout=20)

    thread = elsewhere(slow)
    thread.start()
    try:
        assert written.wait(timeout=10)
        yield
    finally:
        go_on.set()
        thread.join(timeout=20)
