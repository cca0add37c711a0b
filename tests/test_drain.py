"""A gentle end: what runs may finish for a while, what is left is given back or ended, nothing hangs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ai_core.models import AIJob, Attempt, WorkerSession
from megahub.kernel import clock
from tests import world
from tests.processes import Hub, wait_for
from tests.world import Cast
from tools import servers

DRAIN_SECONDS = 3
QUICK, STREAM = "[sandbox: delay=1500ms] quick", "[sandbox: delay=1500ms] stream"
LONG, LONG_STREAM = "[sandbox: delay=60s] long", "[sandbox: delay=60s] stream"


@pytest.fixture
def hub(sandbox_url: str, tmp_path: Path) -> Iterator[Hub]:
    found = Hub(tmp_path, sandbox_url, HUB_DRAIN_SECONDS=str(DRAIN_SECONDS))
    yield found
    found.end()


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def jobs_of(cast: Cast) -> list[AIJob]:
    return list(AIJob.objects.of(cast.company.pk))


def job_with(cast: Cast, text: str) -> AIJob:
    """The job that was asked this."""
    return next(job for job in jobs_of(cast) if job.input_data["messages"][0]["content"] == text)


def wait_until_called(cast: Cast, count: int) -> None:
    """Until so many of the company's jobs are at the provider."""
    wait_for(
        lambda: Attempt.objects.filter(job__company_id=cast.company.pk, phase="calling").count() == count
    )


def test_a_web_process(hub: Hub, cast: Cast) -> None:
    budget = world.make_budget(cast.company, "5")
    web = hub.web(patience_seconds=DRAIN_SECONDS)
    hub.ready(web)
    wait_for(hub.listens)
    bodies = (chat(QUICK), chat(STREAM, stream=True), chat(LONG), chat(LONG_STREAM, stream=True))

    with ThreadPoolExecutor(len(bodies)) as clients:
        asked: list[Future[httpx2.Response]] = [
            clients.submit(hub.post, cast.alice.token, "/v1/chat/completions", body) for body in bodies
        ]
        wait_until_called(cast, len(bodies))
        told = clock.now()
        web.send_signal(signal.SIGTERM)
        wait_for(lambda: not hub.listens())
        quick, stream, long, cut = (answer.result() for answer in asked)

    assert web.wait(10) == -signal.SIGTERM
    # What ends in time is answered and settled …
    assert (quick.status_code, quick.json()) == (200, job_with(cast, QUICK).response)
    assert stream.text.endswith("data: [DONE]\n\n")
    for text in (QUICK, STREAM):
        assert job_with(cast, text).status == "completed"
        assert job_with(cast, text).completed_at > told
    # … and what does not is told that nobody knows, and holds nothing.
    assert (long.status_code, long.json()["error"]["code"]) == (502, "outcome_unknown")
    assert not cut.text.endswith("data: [DONE]\n\n")
    for text in (LONG, LONG_STREAM):
        lost = job_with(cast, text)
        assert (lost.status, lost.error["code"]) == ("failed", "OUTCOME_UNKNOWN")
        assert Attempt.objects.get(job=lost).phase == "unknown"
    window = world.window(budget)
    assert window is not None
    charged = sum(entry.charged_nano_usd for job in jobs_of(cast) for entry in world.ledger(job.pk))
    assert (window.reserved, window.spent) == (0, charged)
    assert WorkerSession.objects.get(pid=web.pid).ended_at is not None


def test_a_worker(hub: Hub, cast: Cast) -> None:
    if servers.find_redis() is not None:  # files are looked at too rarely to end at once
        hub.redis()
    budget = world.make_budget(cast.company, "5")
    web, worker = hub.web(), hub.worker()
    hub.ready(web, worker)
    wait_for(hub.listens)
    for text in (QUICK, LONG):
        accepted = hub.post(cast.alice.token, "/ai/openai/chat/", {**chat(text), "async": True})
        assert accepted.status_code == 202
    wait_until_called(cast, 2)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(20) == 0
    assert WorkerSession.objects.get(pid=worker.pid).ended_at is not None
    assert job_with(cast, QUICK).status == "completed"
    # Given back, for another worker; it still holds what it may cost.
    left = job_with(cast, LONG)
    assert (left.status, left.attempt_no, left.unknown_attempts) == ("pending", 1, 1)
    assert Attempt.objects.get(job=left).phase == "unknown"
    window = world.window(budget)
    assert window is not None
    assert window.reserved == left.holds[0][2]
    assert hub.post(cast.alice.token, f"/ai/jobs/{left.pk}/cancel/", {}).status_code == 200
    window = world.window(budget)
    assert window is not None
    assert window.reserved == 0
