"""This process as one that runs jobs: its session row, its heartbeat, and the jobs it is running.

One thread beats every 10 seconds (a session is stale after 45) and looks every second, while jobs
run, whether one of them is to be cancelled. Cancelling happens on the job's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import F, QuerySet

from ai_core.models import AIJob, Attempt, WorkerSession
from ai_core.services import gates, watchdog
from megahub.kernel import clock

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


def silent_since() -> datetime:
    """Who has not beaten since is given up for dead."""
    return clock.now() - timedelta(seconds=settings.HUB_STALE_SECONDS)


class Running:
    """A job that this process is running: how to stop it, and whether that was wanted."""

    def __init__(self, pk: int, task: asyncio.Task[object]) -> None:
        self.pk = pk
        self.task = task
        self.loop = task.get_loop()
        self.cancelled = False

    def cancel(self) -> None:
        """Stop it because its owner wants it; from any thread."""
        self.cancelled = True
        self.loop.call_soon_threadsafe(self.task.cancel)


class Process:
    """The session of this process; begun on first use, ended at shutdown.

    ``running`` by job, ``claiming`` how many are about to be, ``settling`` which are being settled,
    ``unwritten`` whose settlement the journal still has; ``draining`` once it takes on no more.
    """

    def __init__(self) -> None:
        self.session_id: int | None = None
        self.kind = "web"
        self.running: dict[int, Running] = {}
        self.claiming = 0
        self.settling: set[int] = set()
        self.unwritten: set[int] = set()
        self.draining = False
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, kind: str | None = None) -> int:
        """The session's id; its row and its thread are made on the first call."""
        with self._lock:
            if self.session_id is None:
                self.kind = kind or self.kind
                row = WorkerSession.objects.create(
                    kind=self.kind, host=socket.gethostname(), pid=os.getpid()
                )
                self.session_id = int(row.pk)
                self._ending.clear()
                self._thread = threading.Thread(target=self._beat, name="hub-beat", daemon=True)
                self._thread.start()
            return self.session_id

    def end(self) -> None:
        """Say that this process runs nothing any more."""
        with self._lock:
            self._ending.set()
            if self._thread is not None:
                self._thread.join(timeout=5)
            if self.session_id is not None:
                self._say_goodbye()
            self.session_id = self._thread = None

    def let_go(self, running: Running) -> None:
        """It runs no more and is being settled; a later run of the same job here goes on."""
        self.settling.add(running.pk)
        if self.running.get(running.pk) is running:
            del self.running[running.pk]

    def _say_goodbye(self) -> None:
        try:
            self._row().update(ended_at=clock.now())
        except DatabaseError as error:  # the reaper will find that it beats no more
            log.warning("the session's end could not be written: %s", error)

    def _row(self) -> QuerySet[WorkerSession]:
        return WorkerSession.objects.filter(pk=self.session_id or 0)

    def _beat(self) -> None:
        since_beat = 0.0
        while not self._ending.wait(LOOK_SECONDS):
            since_beat += LOOK_SECONDS
            due = since_beat >= settings.HUB_BEAT_SECONDS
            if not due and not self.running:
                continue
            since_beat = 0.0 if due else since_beat
            try:
                self._look(due)
            except Exception as error:  # noqa: BLE001 - the database is away: the next look comes in a second
                log.warning("heartbeat failed: %s", type(error).__name__)
        connection.close()

    def _disown(self) -> None:
        """Give the reaper what is ours by its row and unknown to us: the connection was lost while its
        claim (or its acceptance) was committed, and it was never begun.
        """
        ours = Attempt.objects.filter(session_id=self.session_id, phase="calling")
        old = ours.filter(started_at__lt=silent_since(), attempt_no=F("job__attempt_no"))
        known = {*self.running, *self.settling, *self.unwritten}
        lost = old.filter(job__status="running").exclude(job_id__in=known).values_list("pk", flat=True)
        if found := list(lost):
            log.warning("%d jobs were claimed and never begun", len(found))
            Attempt.objects.filter(pk__in=found, phase="calling").update(session=None)

    def _drain(self) -> None:
        self.draining = True

    def _look(self, beat: bool) -> None:
        close_old_connections()
        if beat:
            self._row().update(beat_at=clock.now())
            self._disown()
            if self.kind == "worker":
                watchdog.WATCHDOG.look(time.monotonic(), len(self.running), self._drain)
        gates.refresh()
        if self.running:
            wanted = AIJob.objects.unscoped().filter(
                pk__in=list(self.running), status="running", cancel_requested_at__isnull=False
            )
            for pk in wanted.values_list("pk", flat=True):
                found = self.running.get(pk)
                if found is not None and not found.cancelled:
                    found.cancel()


PROCESS = Process()
