"""The doorbell: ``ring("ai_core.run_job", id)`` by name, after commit, never failing the caller.

A bell that could not be rung is not an error: the job's row is the truth, the relay rings again.
Publishing happens in one background thread, so that neither the event loop nor a request waits for
the broker.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

from celery import current_app

log = logging.getLogger(__name__)

CAPACITY = 20_000
#: Queue names by priority, as workers consume them (urgent first).
QUEUES = ("urgent", "high", "normal", "low")
SYSTEM_QUEUE = "system"

_waiting: queue.Queue[tuple[str, tuple[Any, ...], str]] = queue.Queue(maxsize=CAPACITY)
_ringer: threading.Thread | None = None
_lock = threading.Lock()


def ring(task: str, *args: Any, queue: str = "normal") -> None:
    """Ring for ``task`` in a worker of ``queue``, after what it is about was committed. From any thread."""
    _ensure_ringer()
    try:
        _waiting.put_nowait((task, args, queue))
    except _Full:
        log.warning("doorbell queue is full; the relay will ring for %s", task)


def _ensure_ringer() -> None:
    global _ringer
    with _lock:
        if _ringer is None or not _ringer.is_alive():
            _ringer = threading.Thread(target=_ring_forever, name="hub-bell", daemon=True)
            _ringer.start()


def _ring_forever() -> None:
    while True:
        task, args, target = _waiting.get()
        try:
            current_app.send_task(task, args=args, queue=target, retry=False)
        except Exception as error:  # noqa: BLE001 - whatever the broker's driver raises, the relay rings again
            log.warning("could not ring for %s: %s", task, type(error).__name__)
        finally:
            _waiting.task_done()


_Full = queue.Full
