"""A worker that lives and hears nothing any more: it lets go of what it runs, and ends to be begun anew.

A broker's client can lose its connection and wait for ever (reference/reliability.md). The sign: the
relay has rung for jobs that are due for long, nobody took them, and no bell at all has been heard here.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings

from ai_core.models import AIJob
from megahub.kernel import clock

log = logging.getLogger(__name__)


class Watchdog:
    """What one worker has heard; ``waiting`` bells that were heard wait for a free slot.

    ``leave`` ends the process, whose supervisor starts another.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self.leave = leave
        self.heard_at = time.monotonic()
        self.deaf_since: float | None = None
        self.waiting = 0
        self._lock = threading.Lock()

    def hear(self) -> None:
        """A message of any kind has come."""
        self.heard_at = time.monotonic()

    def wait(self, change: int) -> None:
        """So many more (or fewer) bells wait for a slot."""
        with self._lock:
            self.waiting += change

    def look(self, now: float, running: int, drain: Callable[[], None]) -> None:
        """Once in a while: when deaf, ``drain`` (take on nothing more), and leave when nothing runs."""
        if self.deaf_since is None:
            if not self.is_deaf(now):
                return
            log.critical(
                "no bell was heard for %.0f s while jobs wait: this worker ends", now - self.heard_at
            )
            self.deaf_since = now
            drain()
        if not running or now - self.deaf_since > settings.HUB_DRAIN_SECONDS:
            self.leave(1)

    def is_deaf(self, now: float) -> bool:
        """Whether bells that were rung were not heard."""
        quiet = now - self.heard_at >= settings.HUB_DEAF_SECONDS
        return quiet and not self.waiting and _unheard()


def _unheard() -> bool:
    """Whether jobs are due for long, and the relay has rung for them."""
    now = clock.now()
    long_ago = now - timedelta(seconds=settings.HUB_DEAF_SECONDS)
    due = AIJob.objects.unscoped().filter(status="pending", run_at__lt=long_ago, ring_at__gt=now)
    return bool(due.exists())


WATCHDOG = Watchdog()
