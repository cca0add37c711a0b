"""Celery's way in: a worker's slots, and beat's chores. Shells only; the work is in the pipeline."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import shared_task, signals
from django.conf import settings

from ai_core import pipeline
from ai_core.services import forgetting, reconciling, recovery, search_blocks, spooling
from ai_core.services.sessions import PROCESS
from ai_core.services.watchdog import WATCHDOG
from ai_providers.adapters import http
from megahub.kernel import journal, loop

log = logging.getLogger(__name__)

#: A worker runs its jobs on one event loop; a bell waits here, in its thread, for a free slot.
SLOTS = threading.BoundedSemaphore(settings.HUB_JOB_SLOTS)


@shared_task(name="ai_core.run_job")
def run_job(job_pk: int) -> None:
    """Run the job whose turn it is on the process's event loop, when a slot is free."""
    WATCHDOG.wait(+1)
    SLOTS.acquire()
    WATCHDOG.wait(-1)
    loop.start(pipeline.turn(job_pk)).add_done_callback(_done)


@shared_task(name="ai_core.relay")
def relay() -> None:
    """Ring again for jobs whose bell was lost."""
    recovery.relay()


@shared_task(name="ai_core.reap")
def reap() -> None:
    """Take back jobs whose process is gone."""
    recovery.reap()


@shared_task(name="ai_core.reconcile")
def reconcile() -> None:
    """Ask providers that keep answers for those that were never heard."""
    reconciling.look_again()


@shared_task(name="ai_core.forget_due")
def forget_due() -> None:
    """Texts go that a company's policy does not keep."""
    forgetting.forget_due()


@shared_task(name="ai_core.forget_old")
def forget_old() -> None:
    """Texts go that are older than their company keeps them."""
    forgetting.forget_old()


@shared_task(name="ai_core.index_search")
def index_search() -> None:
    """Fill the blocks that searches pass over."""
    search_blocks.tend()


def _done(future: Any) -> None:
    SLOTS.release()
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("a job's run broke outside of its job", exc_info=error)


@signals.task_prerun.connect
def heard(**_: Any) -> None:
    """A message has come: this worker is not deaf."""
    WATCHDOG.hear()


@signals.worker_ready.connect
def begin(**_: Any) -> None:
    """A worker is ready: its session begins to beat."""
    loop.calm_collector()
    loop.begin_fast()
    PROCESS.begin("worker")


_drains: list[threading.Thread] = []


@signals.worker_shutting_down.connect
def drain(**_: Any) -> None:
    """Let running jobs finish for a while; hand back what is left; then end the session."""
    thread = threading.Thread(target=_drain, name="hub-drain")
    thread.start()
    _drains.append(thread)


@signals.worker_shutdown.connect
def wait_for_drain(**_: Any) -> None:
    """The interpreter may not begin to end before: it takes the threads that read rows first."""
    for thread in _drains:
        thread.join()


def _drain() -> None:
    loop.run(pipeline.drain(settings.HUB_DRAIN_SECONDS))
    journal.stop()
    PROCESS.end()
    spooling.SPOOL.close()
    loop.run(http.close())
