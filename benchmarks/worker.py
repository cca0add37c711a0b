"""Jobs for later: from POST to completed through one worker, beside no-op tasks of Celery alone.

``python -m benchmarks.worker [--seconds 4]``. Both use the same Redis and the same worker options. The
provider answers at once. First while they are sent, then a backlog that waits for the worker to start.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from celery import Celery

from benchmarks import ground
from megahub.settings import env
from tools import services
from tools.launch import Launch

COLUMNS = ["what", "tasks", "tasks/s", "p50 ms from POST to completed", "p99 ms", "CPU ms/task"]
PATIENCE_SECONDS = 120
JOBS = (
    "SELECT count(*), count(completed_at), extract(epoch from max(completed_at) - min(created_at)),"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch from completed_at - created_at)),"
    " percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch from completed_at - created_at)),"
    " extract(epoch from max(completed_at) - min(started_at)),"
    " count(*) FILTER (WHERE status <> 'completed') FROM ai_core_aijob WHERE id > %s"
)

#: The no-op tasks of Celery alone; a worker finds it as ``benchmarks.worker``.
app = Celery("noop", broker=os.environ.get("NOOP_BROKER", "memory://"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, task_default_queue="noop")


@app.task(name="noop")
def noop(number: int) -> None:
    """Nothing at all."""


@contextmanager
def hub_worker(launch: Launch, provider_url: str) -> Iterator[int]:
    """The hub's worker on the tested core; its pid."""
    program = services.worker({**launch.env, "HUB_SANDBOX_URL": provider_url})
    with ground.process(program.command, ground.TESTED_CORE, program.env) as pid:
        yield pid


@contextmanager
def noop_worker(broker: str) -> Iterator[int]:
    """A worker with the same options that does nothing; its pid."""
    how = "-P threads -c 4 -Q noop --without-gossip --without-mingle -l WARNING"
    command = services.module("celery", "-A", "benchmarks.worker", "worker", *how.split())
    with ground.process(command, ground.TESTED_CORE, {**os.environ, "NOOP_BROKER": broker}) as pid:
        yield pid


class Jobs:
    """What the database says of the jobs that were made since."""

    def __init__(self, launch: Launch) -> None:
        self.connection = psycopg.connect(
            launch.env["DATABASE_URL"], autocommit=True, options="-c app.company=*"
        )
        self.mark()

    def mark(self) -> None:
        """Count from here on."""
        ((self.since,),) = self.connection.execute("SELECT COALESCE(max(id), 0) FROM ai_core_aijob")

    def ended(self, wanted: int = 0) -> tuple[Any, ...]:
        """Wait until all have ended."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            (found,) = self.connection.execute(JOBS, [self.since])
            if found[0] == found[1] >= max(wanted, 1):
                return found
            time.sleep(0.2)
        raise SystemExit(f"{found[1]} of {found[0]} jobs ended")


def post(address: str, token: str, seconds: float) -> None:
    """Send jobs for later over 16 connections."""
    body = {**ground.BODY, "async": True}
    headers = {"Authorization": f"Bearer {token}"}
    told = ground.load(f"{address}/ai/openai/chat/", 16, seconds, headers=headers, body=body, wants="202")
    if told["bad"]:
        raise SystemExit(f"not every job was taken: {told['statuses']}")


def hub_rows(launch: Launch, provider_url: str, seconds: float) -> Iterator[list[Any]]:
    """While they are sent; then a backlog."""
    jobs = Jobs(launch)
    with ground.hub(launch, provider_url, core=ground.OTHER_CORE) as (address, token, _):
        with hub_worker(launch, provider_url) as pid:
            post(address, token, 0.5)
            jobs.ended()
            jobs.mark()
            before = ground.cpu_seconds(pid)
            post(address, token, seconds)
            yield _row("hub: POST to completed", jobs.ended(), ground.cpu_seconds(pid) - before)
        jobs.mark()
        post(address, token, seconds)
        with hub_worker(launch, provider_url) as pid:
            yield _row("hub: a backlog", jobs.ended(), ground.cpu_seconds(pid), waits=True)


def _row(name: str, found: tuple[Any, ...], cpu: float, *, waits: bool = False) -> list[Any]:
    count, _, took, p50, p99, ran, failed = found
    if failed:
        raise SystemExit(f"{failed} jobs failed")
    seconds = float(ran if waits else took)
    latency = [None, None] if waits else [float(p50) * 1000, float(p99) * 1000]
    return [name, count, count / seconds, *latency, cpu * 1000 / count]


def noop_rows(broker: str, count: int) -> Iterator[list[Any]]:
    """The same two with tasks that do nothing."""
    app.conf.broker_url = broker
    with noop_worker(broker) as pid:
        _send(100)
        _noops(100)
        before, began = ground.cpu_seconds(pid), time.monotonic()
        _send(count)
        _noops(100 + count)
        took = time.monotonic() - began
        cpu = (ground.cpu_seconds(pid) - before) * 1000 / count
        yield ["Celery: no-op, while sent", count, count / took, None, None, cpu]
    _send(count)
    with noop_worker(broker) as pid:
        first = _noops(1)
        began = time.monotonic()
        _noops(count)
        rate = (count - first) / (time.monotonic() - began)
        yield ["Celery: no-op, a backlog", count, rate, None, None, ground.cpu_seconds(pid) * 1000 / count]


def _send(count: int) -> None:
    for number in range(count):
        noop.delay(number)


def _noops(wanted: int) -> int:
    """Wait until the worker has done so many; how many it has."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        told = app.control.inspect(timeout=0.3).stats() or {}
        done = sum(stats["total"].get("noop", 0) for stats in told.values())
        if done >= wanted:
            return done
    raise SystemExit(f"Celery did not do {wanted} tasks")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    print(f"{ground.machine()}; PostgreSQL and Redis as ./hub up starts them; worker -P threads -c 4")
    with ground.servers() as launch, ground.provider() as url:
        broker = env.broker(launch.env["REDIS_URL"])
        rows = list(hub_rows(launch, url, options.seconds))
        ground.show("Jobs for later", COLUMNS, [*rows, *noop_rows(broker, rows[0][1])])


if __name__ == "__main__":
    main()
