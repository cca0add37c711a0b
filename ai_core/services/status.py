"""How the hub is doing: broker, workers, and gauges for Prometheus, all read from where they are true."""

from __future__ import annotations

from celery import current_app
from django.db.models import Count, Sum
from prometheus_client import Gauge

from ai_core.models import AIJob, WorkerSession
from ai_core.services.sessions import PROCESS, silent_since
from ai_usage.models import LedgerEntry
from megahub.kernel import clock, scope
from megahub.kernel.cache import ShortLived

JOBS = Gauge("megahub_jobs", "Jobs that have not ended", ["status", "priority"])
RUNNING = Gauge("megahub_process_running_jobs", "Jobs that this process is running")
CHARGED = Gauge("megahub_charged_usd", "What the ledger charged today (UTC)", ["provider", "sandbox"])
SESSIONS = Gauge("megahub_sessions", "Processes that beat", ["kind"])
JOURNAL = Gauge("megahub_journal", "Entries and groups written, entries waiting", ["lane", "what"])


def _ask_broker(_: int) -> str:
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except Exception as error:  # noqa: BLE001 - whatever the broker's driver raises: it cannot be reached
        return type(error).__name__
    return "ok"


_broker: ShortLived[int, str] = ShortLived(_ask_broker, 2.0)


def broker() -> str:
    """ "ok", or the name of what went wrong."""
    return _broker.get(0)


def workers() -> str:
    """ "ok" when a worker process beats."""
    fresh = silent_since()
    beating = WorkerSession.objects.filter(kind="worker", ended_at=None, beat_at__gte=fresh)
    return "ok" if beating.exists() else "no worker beats"


def observe(journal: dict[str, dict[str, int]]) -> None:
    """Set the gauges; money and jobs come from the database, never from a counter of this process."""
    with scope.everybody():
        _count()
    RUNNING.set(len(PROCESS.running))
    for lane, figures in journal.items():
        for what, number in figures.items():
            JOURNAL.labels(lane, what).set(number)


def _count() -> None:
    JOBS.clear()
    open_jobs = AIJob.objects.unscoped().filter(status__in=("pending", "running"))
    for row in open_jobs.values("status", "priority").annotate(number=Count("pk")):
        JOBS.labels(row["status"], row["priority"]).set(row["number"])
    CHARGED.clear()
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    entries = LedgerEntry.objects.unscoped().filter(created_at__gte=midnight)
    for row in entries.values("provider", "sandbox").annotate(nano=Sum("charged_nano_usd")):
        CHARGED.labels(row["provider"], str(row["sandbox"]).lower()).set(row["nano"] / 1e9)
    fresh = silent_since()
    SESSIONS.clear()
    beating = WorkerSession.objects.filter(ended_at=None, beat_at__gte=fresh)
    for row in beating.values("kind").annotate(number=Count("pk")):
        SESSIONS.labels(row["kind"]).set(row["number"])
