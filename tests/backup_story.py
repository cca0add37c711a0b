"""What a backup is of, told by processes: ``python -m tests.backup_story make | check`` on DATABASE_URL.

``make`` leaves a company with a job that is paid, one that waits, one that runs, one whose outcome is
unknown, and an event that nobody was told of; it says so in JSON. ``check`` finds the same in what was
restored, lets the hub go on by itself, and says what became of it.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django

django.setup()

from django.conf import settings
from django.core.management import call_command

from ai_core import pipeline
from ai_core.models import AIJob, WorkerSession
from ai_core.services import recovery
from ai_core.services.claim import CLAIM, Take
from ai_providers.adapters.registry import ADAPTERS
from ai_usage.models import BudgetWindow, LedgerEntry, UsageRollup
from ai_usage.services import rollups
from megahub.delivery.models import Outbox, WebhookDelivery
from megahub.delivery.services import endpoints
from megahub.delivery.services import relay as telling
from megahub.kernel import clock, journal, loop, money, queue
from tests import world
from tests.delivery.receiver import listening
from tests.stubs import Scripted, completion

BUDGET_USD = "5"


def make(hook: str) -> dict[str, Any]:
    """The state that is backed up."""
    cast = world.make_cast(1)
    world.make_budget(cast.company, BUDGET_USD)
    endpoints.register(cast.company.pk, {"url": hook, "events": ["job.completed"]})
    loop.run(pipeline.run(world.submit(cast.alice)))
    waits, runs, lost = (world.submit(cast.alice, later=True) for _ in range(3))
    owner = WorkerSession.objects.create(kind="worker", host="elsewhere", pid=1)
    journal.write_and_wait(CLAIM, Take(lost.pk, owner.pk, 900))
    WorkerSession.objects.filter(pk=owner.pk).update(beat_at=clock.now() - timedelta(hours=1))
    recovery.reap()
    journal.write_and_wait(CLAIM, Take(runs.pk, owner.pk, 900))
    rollups.fold(timedelta(0))
    # Folded up to here; what comes now is seen by this server, and not folded any more.
    loop.run(pipeline.run(world.submit(cast.alice)))
    rollups.fold(timedelta(hours=1))
    assert (world.row(waits).status, world.row(runs).status) == ("pending", "running")
    return told()


def told() -> dict[str, Any]:
    """What must be the same before and after."""
    windows = BudgetWindow.objects.filter(budget__limit=money.to_nano(Decimal(BUDGET_USD))).order_by("pk")
    return {
        "jobs": dict(AIJob.objects.unscoped().order_by("pk").values_list("job_id", "status")),
        "ledger": list(
            LedgerEntry.objects.unscoped().order_by("pk").values_list("kind", "charged_nano_usd")
        ),
        "windows": list(windows.values_list("reserved", "spent", "unknown_exposure")),
        "events": list(Outbox.objects.unscoped().order_by("pk").values_list("event_id", flat=True)),
    }


def check(port: int) -> dict[str, Any]:
    """What was restored, and what became of it without a hand."""
    restored = told()
    call_command("verify_ledger")
    with listening(port=port) as receiver:
        recovery.reap()
        recovery.relay()
        for pk in list(AIJob.objects.unscoped().filter(status="pending").values_list("pk", flat=True)):
            loop.run(pipeline.work(pk))
        for _ in range(2):
            for pump in telling.relay():
                pump.result(timeout=30)
        heard = [each.headers["webhook-id"] for each in receiver.heard]
    rollups.fold(timedelta(0))
    rollups.fold(timedelta(0))
    call_command("verify_ledger")
    folded = sum(UsageRollup.objects.unscoped().values_list("jobs", flat=True))
    return restored | {
        "heard": sorted(heard),
        "after": told(),
        "folded": folded,
        "deliveries": list(WebhookDelivery.objects.unscoped().values_list("state", flat=True)),
    }


def main(what: str, port: int) -> None:
    scripted = Scripted(*[completion()] * 9)
    ADAPTERS["openai"] = scripted
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True
    queue.ring = lambda *_, **__: None
    said = make(f"http://127.0.0.1:{port}/hook") if what == "make" else check(port)
    journal.stop()
    sys.stdout.write(json.dumps(said | {"calls": len(scripted.calls)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
