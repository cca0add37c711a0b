"""Beat's table: its tasks exist, somebody listens where it rings, and each does its chore."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from ai_core.models import AIJob, WorkerSession
from ai_usage.models import AIUsageAlert, BudgetWindow, RollupCursor, UsageRollup
from ai_usage.services import rollups
from megahub.celery import app
from megahub.delivery.models import Outbox, WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import endpoints, outbox
from megahub.kernel import clock, money
from megahub.kernel.beat import Scheduler
from megahub.kernel.queue import QUEUES, SYSTEM_QUEUE
from megahub.tenancy.models import IdempotencyKey, RefreshToken, SignIn
from tests import usage, world
from tests.delivery.receiver import listening
from tests.world import Cast
from tools.services import worker

Rung = list[tuple[str, tuple[object, ...], str]]


def do(entry: str) -> None:
    """What beat has done by that entry of its table."""
    app.loader.import_default_modules()
    app.tasks[app.conf.beat_schedule[entry]["task"]].apply().get()


def test_it_works() -> None:
    app.loader.import_default_modules()

    assert {name: entry["schedule"] for name, entry in app.conf.beat_schedule.items()} == {
        "ring-again": 2.0,
        "take-back": 10.0,
        "reconcile": 300.0,
        "tell": 2.0,
        "check-alerts": 60.0,
        "forget-told": 3600.0,
        "fold-rollups": 10.0,
        "check-rollups": crontab(hour=3, minute=17),
        "tend-batches": 5.0,
        "tidy-files": 600.0,
        "verify-ledger": 3600.0,
        "send-mails": 5.0,
        "make-exports": 2.0,
        "export-schedules": 60.0,
        "forget-exports": 3600.0,
        "forget-due": 60.0,
        "forget-texts": crontab(minute=41),
        "forget-old": 3600.0,
        "index-search": 30.0,
        "drop-audit-anchors": 300.0,
        "verify-audit": crontab(hour=3, minute=47),
    }
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"] == {"queue": SYSTEM_QUEUE}


def test_a_worker_listens_to_every_queue() -> None:
    command = worker({}).command

    heard = command[command.index("-Q") + 1].split(",")
    assert heard == [SYSTEM_QUEUE, *QUEUES]
    assert sorted(queue.name for queue in app.conf.task_queues) == sorted(heard)


def test_ring_again(cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)
    AIJob.objects.unscoped().filter(pk=job.pk).update(ring_at=clock.now() - timedelta(seconds=1))
    rung.clear()

    do("ring-again")

    assert ("ai_core.run_job", (job.pk,), "normal") in rung


def test_take_back(cast: Cast) -> None:
    job = world.submit(cast.alice)
    gone = WorkerSession.objects.create(
        kind="web", host="gone", pid=1, beat_at=clock.now() - timedelta(seconds=60)
    )
    world.row(job).attempts.update(session=gone)

    do("take-back")

    assert world.row(job).status == "failed"


def test_take_back_forgets_old_sessions(cast: Cast) -> None:
    moments = [clock.now() - timedelta(days=days) for days in (30, 1)]
    made = [
        WorkerSession.objects.create(kind="web", host="h", pid=1, beat_at=moment, ended_at=moment)
        for moment in moments
    ]

    do("take-back")

    left = WorkerSession.objects.filter(pk__in=[session.pk for session in made])
    assert [session.pk for session in left] == [made[1].pk]


def test_tell(cast: Cast, settings: Any) -> None:
    """The event becomes a delivery, and the delivery arrives."""
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True
    # What other tests left is not sent to.
    WebhookEndpoint.objects.unscoped().update(is_active=False)
    with listening() as receiver:
        asked = {"url": receiver.url, "events": ["alert.created"]}
        endpoint, _ = endpoints.register(cast.company.pk, asked)
        outbox.tell(cast.company.pk, "alert.created", {"message": "Look."})

        do("tell")

        until = time.monotonic() + 20
        row = WebhookDelivery.objects.of(cast.company.pk)
        while row.get().state == "pending" and time.monotonic() < until:
            time.sleep(0.02)
        assert (row.get().state, len(receiver.heard)) == ("delivered", 1)
        endpoints.delete(endpoint)
    assert Outbox.objects.of(cast.company.pk).get().relayed_at is not None


def test_forget_told(cast: Cast) -> None:
    """Events that were spread and deliveries, after their time; what waits is kept."""
    endpoint = WebhookEndpoint(company=cast.company, url="https://a.example.com/", events=[])
    endpoint.sealed_secret = endpoint.seal("whsec_" + "A" * 43 + "=")
    endpoint.is_active = False
    endpoint.save()
    old = clock.now() - timedelta(days=31)
    for name, moment, relayed in (("old", old, old), ("new", clock.now(), clock.now())):
        Outbox.objects.unscoped().create(
            company=cast.company, event_id=f"{world.RUN}-{cast.company.pk}-{name}", data={},
            event_type="alert.created", created_at=moment, relayed_at=relayed,
        )  # fmt: skip
        delivery = WebhookDelivery.objects.unscoped().create(
            company=cast.company, endpoint=endpoint, event_id=name, event_type="alert.created", body="{}"
        )
        WebhookDelivery.objects.unscoped().filter(pk=delivery.pk).update(created_at=moment)

    do("forget-told")

    assert [row.event_id[-3:] for row in Outbox.objects.of(cast.company.pk)] == ["new"]
    assert [row.event_id for row in WebhookDelivery.objects.of(cast.company.pk)] == ["new"]


def test_check_alerts(cast: Cast, alone: None) -> None:
    budget = world.make_budget(cast.company, usd="100")
    start = clock.window_start(budget.period, clock.now(), cast.company.timezone)
    BudgetWindow.objects.create(
        budget=budget, starts_on=start, sandbox=False, spent=money.to_nano(Decimal(101))
    )

    do("check-alerts")

    found = AIUsageAlert.objects.of(cast.company.pk)
    assert [alert.alert_type for alert in found] == ["cost_exceeded"]


def test_fold_rollups(cast: Cast) -> None:
    usage.entry(cast, clock.now() - timedelta(days=3))
    # What is there was seen long ago, and no open transaction is waited for.
    until = time.monotonic() + 20
    while not UsageRollup.objects.of(cast.company.pk).exists() and time.monotonic() < until:
        RollupCursor.objects.update(seen_at=clock.now() - timedelta(days=365))
        do("fold-rollups")

    assert UsageRollup.objects.of(cast.company.pk).get().jobs == 1


def test_check_rollups(cast: Cast) -> None:
    """The company is told what differs."""
    UsageRollup.objects.unscoped().create(
        company=cast.company, brand_id=cast.brand.pk, day=clock.now().date(), sandbox=True,
        provider="openai", model="gpt-4o-mini", generation="legacy", jobs=1,
    )  # fmt: skip
    try:
        do("check-rollups")
    finally:
        rollups.rebuild(cast.company.pk)

    found = AIUsageAlert.objects.of(cast.company.pk)
    assert [alert.alert_type for alert in found] == ["rollup_off"]


def test_forget_old(cast: Cast) -> None:
    """Idempotency keys of yesterday, refresh tokens that are over with the sign-ins they belonged to."""
    user = cast.alice.user
    over, lives = (SignIn.objects.create(user=user) for _ in range(2))
    for sign_in, seconds in ((over, -1), (lives, 60)):
        RefreshToken.objects.create(
            sign_in=sign_in,
            digest=f"{world.RUN}-{sign_in.pk}"[:64],
            expires_at=clock.now() + timedelta(seconds=seconds),
        )
    for key, hours in (("old", 25), ("new", 23)):
        row = IdempotencyKey.objects.unscoped().create(
            company=cast.company, route="v1-chat", key=key, body_digest="x", job_ref="ai_job_0"
        )
        made = clock.now() - timedelta(hours=hours)
        IdempotencyKey.objects.of(cast.company.pk).filter(pk=row.pk).update(created_at=made)

    do("forget-old")

    assert list(IdempotencyKey.objects.of(cast.company.pk).values_list("key", flat=True)) == ["new"]
    assert not SignIn.objects.filter(pk=over.pk).exists()
    assert SignIn.objects.filter(pk=lives.pk).exists()


def test_a_message_that_could_not_be_sent_costs_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ came back, and beat went on failing with the connection that had died."""
    assert app.conf.beat_scheduler == "megahub.kernel.beat:Scheduler"
    own = Celery("beat", broker="memory://", set_as_current=False)
    scheduler = Scheduler(app=own, lazy=True, schedule_filename=str(tmp_path / "beat"))
    first, connection = scheduler.producer, scheduler.connection
    entry = scheduler.Entry("tell", "delivery.relay", schedule=schedule(2, app=own), app=own)

    def lost(*_: Any, **__: Any) -> None:
        raise OSError("Server unexpectedly closed connection")

    monkeypatch.setattr(first, "publish", lost)
    scheduler.apply_entry(entry, producer=first)

    assert scheduler.producer is not first
    assert scheduler.connection is not connection
    scheduler.apply_entry(entry, producer=scheduler.producer)
    second = scheduler.producer
    scheduler.apply_entry(entry, producer=second)
    assert scheduler.producer is second  # what works is kept
