"""Beat's table: its tasks exist, somebody listens where it rings, and each does its chore."""

from __future__ import annotations

from datetime import timedelta

from ai_core.models import AIJob, WorkerSession
from megahub.celery import app
from megahub.kernel import clock
from megahub.kernel.queue import QUEUES, SYSTEM_QUEUE
from megahub.tenancy.models import IdempotencyKey, RefreshToken, SignIn
from tests import world
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
        "forget-old": 3600.0,
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
