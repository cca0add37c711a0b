"""The broker of files: what the doorbell rings with on a machine without Redis."""

from __future__ import annotations

from typing import Any

from kombu.transport import filesystem

LONGEST_WAIT_SECONDS = 0.2


class Transport(filesystem.Transport):
    """kombu's own, back in time to see that its worker is to end.

    Celery waits for messages 2 seconds at a time, and once more after it was told to end.
    """

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver a message; TimeoutError when none has come in ``timeout`` seconds (0.2 at most)."""
        wait = LONGEST_WAIT_SECONDS if timeout is None else min(timeout, LONGEST_WAIT_SECONDS)
        super().drain_events(connection, timeout=wait)  # type: ignore[no-untyped-call]
