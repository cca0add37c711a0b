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
app.conf.beat_schedule = {
    "ring-again": {
        "task": "ai_core.relay",
        "schedule": settings.HUB_RELAY_SECONDS,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "take-back": {
        "task": "ai_core.reap",
        "schedule": settings.HUB_REAP_SECONDS,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "reconcile": {"task": "ai_core.reconcile", "schedule": 300.0, "options": {"queue": SYSTEM_QUEUE}},
    "tell": {"task": "delivery.relay", "schedule": 2.0, "options": {"queue": SYSTEM_QUEUE}},
    "check-alerts": {
        "task": "ai_usage.check_alerts",
        "schedule": 60.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "forget-told": {
        "task": "delivery.forget_old",
        "schedule": 3600.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "fold-rollups": {
        "task": "ai_usage.fold_rollups",
        "schedule": 10.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "check-rollups": {
        "task": "ai_usage.check_rollups",
        "schedule": crontab(hour=3, minute=17),
        "options": {"queue": SYSTEM_QUEUE},
    },
    "tend-batches": {"task": "ai_batch.tend", "schedule": 5.0, "options": {"queue": SYSTEM_QUEUE}},
    "tidy-files": {"task": "ai_batch.tidy", "schedule": 600.0, "options": {"queue": SYSTEM_QUEUE}},
    "verify-ledger": {
        "task": "ai_batch.verify_ledger",
        "schedule": 3600.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "drop-audit-anchors": {
        "task": "audit.drop_anchors",
        "schedule": 300.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "verify-audit": {
        "task": "ai_usage.verify_audit",
        "schedule": crontab(hour=3, minute=47),
        "options": {"queue": SYSTEM_QUEUE},
    },
    "send-mails": {
        "task": "delivery.send_mails",
        "schedule": 5.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "make-exports": {
        "task": "ai_usage.relay_exports",
        "schedule": 2.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "export-schedules": {
        "task": "ai_usage.run_schedules",
        "schedule": 60.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "forget-exports": {
        "task": "ai_usage.forget_exports",
        "schedule": 3600.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
    "forget-due": {"task": "ai_core.forget_due", "schedule": 60.0, "options": {"queue": SYSTEM_QUEUE}},
    "forget-texts": {
        "task": "ai_core.forget_old",
        "schedule": crontab(minute=41),
        "options": {"queue": SYSTEM_QUEUE},
    },
    "forget-old": {
        "task": "tenancy.forget_old",
        "schedule": 3600.0,
        "options": {"queue": SYSTEM_QUEUE},
    },
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
