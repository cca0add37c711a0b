"""The Celery application: four queues by priority, one for the hub's own chores, and beat's table.

Messages carry a task's name and a job's number; nothing depends on their arrival (see
``megahub/kernel/queue.py``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from django.conf import settings
from kombu.entity import Queue

from megahub.kernel.queue import QUEUES, SYSTEM_QUEUE
from megahub.tenancy.checks import require_keys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "megahub.settings.dev")

app = Celery("megahub")
app.set_default()  # for every thread: the doorbell rings in one of its own
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    ["ai_batch", "ai_core", "ai_usage", "megahub.delivery", "megahub.audit", "megahub.tenancy"]
)
#: RabbitMQ keeps a quorum queue's messages when one of its nodes is gone.
KIND = {"x-queue-type": "quorum"} if settings.CELERY_BROKER_URL.startswith("amqp") else None
app.conf.task_queues = [Queue(name, queue_arguments=KIND) for name in (SYSTEM_QUEUE, *QUEUES)]
#: What beat does: by which task, and when (seconds, or a crontab).
CHORES: dict[str, tuple[str, Any]] = {
    "ring-again": ("ai_core.relay", settings.HUB_RELAY_SECONDS),
    "take-back": ("ai_core.reap", settings.HUB_REAP_SECONDS),
    "reconcile": ("ai_core.reconcile", 300.0),
    "tell": ("delivery.relay", 2.0),
    "check-alerts": ("ai_usage.check_alerts", 60.0),
    "forget-told": ("delivery.forget_old", 3600.0),
    "fold-rollups": ("ai_usage.fold_rollups", 10.0),
    "check-rollups": ("ai_usage.check_rollups", crontab(hour=3, minute=17)),
    "tend-batches": ("ai_batch.tend", 5.0),
    "tidy-files": ("ai_batch.tidy", 600.0),
    "verify-ledger": ("ai_batch.verify_ledger", 3600.0),
    "drop-audit-anchors": ("audit.drop_anchors", 300.0),
    "verify-audit": ("ai_usage.verify_audit", crontab(hour=3, minute=47)),
    "send-mails": ("delivery.send_mails", 5.0),
    "make-exports": ("ai_usage.relay_exports", 2.0),
    "export-schedules": ("ai_usage.run_schedules", 60.0),
    "forget-exports": ("ai_usage.forget_exports", 3600.0),
    "forget-due": ("ai_core.forget_due", 60.0),
    "forget-texts": ("ai_core.forget_old", crontab(minute=41)),
    "index-search": ("ai_core.index_search", 30.0),
    "forget-old": ("tenancy.forget_old", 3600.0),
}
app.conf.beat_schedule = {
    name: {"task": task, "schedule": when, "options": {"queue": SYSTEM_QUEUE}}
    for name, (task, when) in CHORES.items()
}


@signals.setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery leaves logging as Django's settings made it."""


def make_bell_folders() -> None:
    """The filesystem broker needs its folders before anything rings."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    for name in ("data_folder_in", "data_folder_out", "control_folder"):
        if name in options:
            Path(options[name]).mkdir(parents=True, exist_ok=True, mode=0o700)


# Web, worker and beat all begin here: none of them does without sound keys.
require_keys()
make_bell_folders()
