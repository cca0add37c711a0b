"""A real worker: the bell rings through a broker, the worker answers it, beat rings when it was lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from ai_core.models import AIJob, Attempt
from megahub.kernel import clock
from tests import world
from tests.processes import Hub, wait_for
from tests.world import Cast
from tools import rabbit, servers

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "async": True}
Rung = list[tuple[str, tuple[Any, ...], str]]


@dataclass
class Running:
    hub: Hub
    worker: subprocess.Popen[bytes]


@pytest.fixture(scope="module", params=["redis", "rabbitmq", "files"])
def running(
    request: pytest.FixtureRequest, sandbox_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Web, worker and beat of one hub, its bells in a Redis or RabbitMQ of its own, or in files."""
    hub = Hub(tmp_path_factory.mktemp(request.param), sandbox_url)
    try:
        if request.param == "redis":
            if servers.find_redis() is None:
                pytest.skip("there is no redis-server here")
            hub.redis()
        elif request.param == "rabbitmq":
            if rabbit.find() is None:
                pytest.skip(
                    "NOT TESTED ON RABBITMQ: there is no rabbitmq-server here (Debian: rabbitmq-server)"
                )
            hub.rabbit()
        web, worker = hub.web(), hub.worker()
        hub.ready(web, worker)
        yield Running(hub, worker)
    finally:
        hub.end()


def has_ended(pk: int) -> bool:
    return world.row(pk).completed_at is not None


def test_it_works(running: Running, cast: Cast) -> None:
    """Beat does not run yet: nothing but the doorbell tells the worker."""
    budget = world.make_budget(cast.company, "5")

    accepted = running.hub.post(cast.alice.token, "/ai/openai/chat/", {**CHAT, "priority": "urgent"})

    assert accepted.status_code == 202
    pk = AIJob.objects.of(cast.company.pk).get(job_id=accepted.json()["job_id"]).pk
    wait_for(lambda: has_ended(pk))
    row = world.row(pk)
    assert (row.status, row.priority, row.is_async) == ("completed", "urgent", True)
    attempt = Attempt.objects.select_related("session").get(job=row)
    assert attempt.session is not None
    assert (attempt.session.kind, attempt.session.pid) == ("worker", running.worker.pid)
    said = row.response["choices"][0]["message"]["content"]
    assert said.startswith("[sandbox] gpt-4o-mini echoes: Hello")
    (entry,) = world.ledger(pk)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, entry.charged_nano_usd)


def test_it_says_that_it_is_ready(running: Running) -> None:
    answer = httpx2.get(f"{running.hub.url}/readyz", timeout=30, trust_env=False)

    ready = {"status": "ok", "database": "ok", "broker": "ok", "workers": "ok"}
    assert (answer.status_code, answer.json()) == (200, ready)


@pytest.mark.parametrize("priority", ["low", "normal"])
def test_every_queue_has_its_worker(running: Running, cast: Cast, priority: str) -> None:
    accepted = running.hub.post(cast.alice.token, "/ai/openai/chat/", {**CHAT, "priority": priority})

    pk = AIJob.objects.of(cast.company.pk).get(job_id=accepted.json()["job_id"]).pk
    wait_for(lambda: has_ended(pk))
    assert world.row(pk).status == "completed"


def test_beat_rings_again_for_a_lost_bell(running: Running, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True, priority="high")
    past = clock.now() - timedelta(seconds=1)
    AIJob.objects.unscoped().filter(pk=job.pk).update(ring_at=past)

    running.hub.beat()

    wait_for(lambda: has_ended(job.pk))
    assert rung == [("ai_core.run_job", (job.pk,), "high")]  # ours, which nobody heard
    row = world.row(job)
    assert (row.status, row.attempt_no) == ("completed", 1)
