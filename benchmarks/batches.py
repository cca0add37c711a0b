"""Batches: a file taken in beside json.loads, lines through the hub's engine, and a run that is killed.

``python -m benchmarks.batches [ingest] [engine] [kills] [--lines 50000]``. PostgreSQL and Redis of their
own; the process under test on core 0. ``kills`` ends the worker with -9 twenty times while it reads and
runs, and then counts what became of every line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import ground
from tools import services
from tools.launch import Launch
from tools.report import ROOT

FILE_BYTES = 200 * 1024 * 1024 - 200_000
CHAT = "/v1/chat/completions"
PATIENCE_SECONDS = 240
#: Callers of the hot lane at once.
CONNECTIONS = 64


def write_file(path: Path, lines: int, size: int) -> None:
    """A file of so many requests and about so many bytes."""
    text = "The quick brown fox jumps over the lazy dog. "
    filler = (text * (size // lines // len(text) + 1))[: max(20, size // lines - 190)]
    with path.open("w") as file:
        for number in range(lines):
            body = {
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": filler}],
                "max_tokens": 20,
            }
            request = {"custom_id": f"request-{number:06}", "method": "POST", "url": CHAT, "body": body}
            file.write(json.dumps(request) + "\n")


def ingest_rows(launch: Launch, lines: int) -> Iterator[list[Any]]:
    """json.loads over every line, then the whole of the hub's ingestion of the same file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requests.jsonl"
        write_file(path, lines, FILE_BYTES)
        for what in ("json.loads", "hub"):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.batch_ingest", what, str(path)],
                cwd=ROOT,
                env={**launch.env, "HUB_SANDBOX_URL": "http://127.0.0.1:9"},
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=lambda: os.sched_setaffinity(0, {ground.TESTED_CORE}),
            )
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
            yield json.loads(done.stdout.splitlines()[-1])


class Batches:
    """What the database says of a batch."""

    def __init__(self, launch: Launch) -> None:
        self.connection = psycopg.connect(
            launch.env["DATABASE_URL"], autocommit=True, options="-c app.company=*"
        )

    def one(self, batch_id: str) -> tuple[Any, ...]:
        """(status, completed, failed, total, seconds in progress)."""
        (row,) = self.connection.execute(
            "SELECT status, completed, failed, total, extract(epoch from COALESCE(finalizing_at,"
            " completed_at) - in_progress_at), id FROM ai_batch_batch WHERE batch_id = %s",
            [batch_id],
        )
        return row

    def until_it_moves(self, batch_id: str, seconds: float = 20) -> None:
        """Wait until a line more was read or has ended."""
        ask = "SELECT checkpoint_line + completed + failed FROM ai_batch_batch WHERE batch_id = %s"
        ((before,),) = self.connection.execute(ask, [batch_id])
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ((now,),) = self.connection.execute(ask, [batch_id])
            if now != before:
                return
            time.sleep(0.02)  # the database tells nobody: it is asked again

    def until_it_runs(self, batch_id: str) -> None:
        """Wait until its lines may be run."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self.one(batch_id)[0] == "validating" and time.monotonic() < until:
            time.sleep(0.02)  # as above

    def until_over(self, batch_id: str) -> tuple[Any, ...]:
        """Wait until it has ended."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            row = self.one(batch_id)
            if row[0] in ("completed", "failed", "expired", "cancelled"):
                return row
            time.sleep(0.1)  # as above; seldom, for the machine is what is measured
        raise SystemExit(f"the batch is {row}")


def upload(address: str, token: str, path: Path) -> str:
    """A batch of a file on the hub's engine; its id."""
    command = ["curl", "-sS", f"{address}/api/batch/create", "-H", f"Authorization: Bearer {token}"]
    command += ["-F", f"endpoint={CHAT}", "-F", "engine=hub", "-F", f"file=@{path}"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return str(told["batch"]["id"])


@contextmanager
def worker(launch: Launch, url: str, **env: str) -> Iterator[int]:
    """The hub's worker on the tested core."""
    program = services.worker({**launch.env, "HUB_SANDBOX_URL": url, **env})
    with ground.process(program.command, ground.TESTED_CORE, program.env) as pid:
        yield pid


def hot_lane(launch: Launch, url: str) -> tuple[float, float]:
    """Chats a second of one web process that does nothing else, and its CPU per chat in milliseconds."""
    with ground.hub(launch, url) as (address, token, pid):
        asked = {"headers": {"Authorization": f"Bearer {token}"}}
        ground.load(f"{address}{CHAT}", CONNECTIONS, 1, **asked)
        before = ground.cpu_seconds(pid)
        told = ground.load(f"{address}{CHAT}", CONNECTIONS, 4, **asked)
        return told["rps"], (ground.cpu_seconds(pid) - before) * 1000 / told["requests"]


def engine_rows(launch: Launch, lines: int, delays: list[int]) -> Iterator[list[Any]]:
    """Lines a second on one worker with 100 slots, beside what the hot lane does in the same run.

    CPU is the worker's from the batch's first line on: not its start, nor the reading of the file.
    """
    batches = Batches(launch)
    for delay in delays:
        count = lines if not delay else min(lines, 10_000)
        chats = chat_ms = None
        with tempfile.TemporaryDirectory() as folder, ground.provider(delay_ms=delay) as url:
            path = Path(folder) / "requests.jsonl"
            write_file(path, count, count * 400)
            if not delay:
                chats, chat_ms = hot_lane(launch, url)
            with (
                ground.hub(launch, url, core=ground.OTHER_CORE) as (address, token, _),
                worker(launch, url) as pid,
                beat(launch),
            ):
                batch_id = upload(address, token, path)
                batches.until_it_runs(batch_id)
                before = ground.cpu_seconds(pid)
                row = batches.until_over(batch_id)
                cpu = (ground.cpu_seconds(pid) - before) * 1000 / count
        if row[1] != count:
            raise SystemExit(f"not every line was answered: {row}")
        rate = count / float(row[4])
        share = None if not delay else 100 * rate / (100 / (delay / 1000))
        yield [f"{delay} ms", count, rate, share, cpu, chats, chat_ms]


@contextmanager
def beat(launch: Launch) -> Iterator[int]:
    """Celery's beat."""
    program = services.beat(launch.env, launch.places.var / "beat")
    with ground.process(program.command, ground.OTHER_CORE, program.env) as pid:
        yield pid


def kill_rows(launch: Launch, lines: int, kills: int, seed: int) -> Iterator[list[Any]]:
    """Kill the worker with -9 while it reads and runs; then look at every line."""
    chance = random.Random(seed)
    launch.env |= {"HUB_STALE_SECONDS": "6", "HUB_BEAT_SECONDS": "1"}
    batches = Batches(launch)
    with tempfile.TemporaryDirectory() as folder, ground.provider(delay_ms=20) as url:
        path = Path(folder) / "requests.jsonl"
        write_file(path, lines, lines * 1000)
        with ground.hub(launch, url, core=ground.OTHER_CORE) as (address, token, _), beat(launch):
            batch_id = upload(address, token, path)
            killed = 0
            while killed < kills and batches.one(batch_id)[0] not in ("completed", "failed"):
                with worker(launch, url) as pid:
                    batches.until_it_moves(batch_id)
                    time.sleep(chance.uniform(0.0, 1.0))  # killed at any point of its work
                    os.killpg(pid, signal.SIGKILL)
                killed += 1
            with worker(launch, url):
                row = batches.until_over(batch_id)
        yield verdict(batches, row, killed, lines)


def verdict(batches: Batches, row: tuple[Any, ...], killed: int, lines: int) -> list[Any]:
    """Output + error, doubles, and charges of a batch that has ended."""
    status, completed, failed, _, _, pk = row
    ask = batches.connection.execute
    ((distinct,),) = ask("SELECT count(DISTINCT custom_id) FROM ai_batch_line WHERE batch_id = %s", [pk])
    ((charged, twice),) = ask(
        "SELECT count(*), count(*) - count(DISTINCT e.job_id) FROM ai_usage_ledgerentry e"
        " JOIN ai_batch_line l ON e.job_id = -4611686018427387905 - l.id"
        " WHERE l.batch_id = %s AND e.kind = 'settle'",
        [pk],
    )
    ((unknown,),) = ask("SELECT COALESCE(sum(unknown), 0) FROM ai_batch_line WHERE batch_id = %s", [pk])
    ((held,),) = ask("SELECT COALESCE(sum(reserved), 0) FROM ai_usage_budgetwindow")
    return [
        killed,
        status,
        lines,
        completed,
        failed,
        completed + failed - lines,
        lines - distinct,
        charged - completed,
        twice,
        int(unknown),
        int(held),
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["ingest", "engine", "kills"])
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{ground.machine()}; PostgreSQL and Redis as ./hub up starts them; worker -P threads -c 4")
    with ground.servers() as launch:
        if "ingest" in options.what:
            columns = ["200 MB, 50,000 lines", "seconds", "MB/s", "peak memory above idle, MiB"]
            ground.show("A file becomes lines", columns, ingest_rows(launch, options.lines))
        if "engine" in options.what:
            columns = ["provider answers after", "lines", "lines/s", "% of slots / delay", "CPU ms/line"]
            columns += ["chats/s of the hot lane", "CPU ms/chat"]
            ground.show(
                "Lines through the hub's engine", columns, engine_rows(launch, options.lines, [0, 200])
            )
        if "kills" in options.what:
            columns = [
                "kill -9",
                "status",
                "lines",
                "output",
                "error",
                "missing",
                "duplicates",
                "not charged",
                "charged twice",
                "attempts of unknown outcome",
                "still held",
            ]
            rows = kill_rows(launch, options.lines, options.kills, options.seed)
            ground.show("A worker that is killed", columns, rows)


if __name__ == "__main__":
    main()
