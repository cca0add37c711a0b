"""What the guarantees cost the hot lane: chat requests a second, with them added one by one, in one run.

``python -m benchmarks.guarantees [--seconds 4] [--rounds 5] [--connections 64]``: under four minutes. The
rows: nothing but the road itself (the job, its attempt, the settlement and the ledger are committed as
ever), with the response spool, with a rate limit of requests and tokens too (in Redis), with row-level
security too. The first two are measured in turns; limits and policies are the database's: the other
two follow one after the other, so that the machine must be quiet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from benchmarks import ground
from tools import servers, services
from tools.launch import Launch
from tools.report import ROOT

APPLICATION, BARE = "megahub.asgi:application", "benchmarks.unspooled:application"
LIMIT = (
    "from ai_usage.models import RateLimit as R; from megahub.tenancy.models import Company as C;"
    "[R.objects.unscoped().create(company=c, requests_per_minute=10**9, tokens_per_minute=10**9)"
    " for c in C.objects.all()]"
)
COLUMNS = ["with", "requests/s", "lowest", "highest", "p50 ms", "CPU ms/request", "of the first", "bad"]


@dataclass
class Way:
    """A hub with some of the guarantees, and what was measured of it."""

    name: str
    address: str
    token: str
    pid: int
    told: list[dict[str, Any]] = field(default_factory=list)

    def measure(self, connections: int, seconds: float) -> None:
        before = ground.cpu_seconds(self.pid)
        url, headers = f"{self.address}/v1/chat/completions", {"Authorization": f"Bearer {self.token}"}
        found = ground.load(url, connections, seconds, headers=headers)
        spent = ground.cpu_seconds(self.pid) - before
        self.told.append({**found, "cpu_ms": spent * 1000 / (found["rps"] * (seconds + 1))})

    def row(self, first: float) -> list[Any]:
        rates = [each["rps"] for each in self.told]
        middle = statistics.median(rates)
        share = f"{100 * middle / first:.1f} %"
        others = (statistics.median(each[name] for each in self.told) for name in ("p50_ms", "cpu_ms"))
        bad = sum(each["bad"] for each in self.told)
        return [self.name, middle, min(rates), max(rates), *others, share, bad]


@contextmanager
def way(launch: Launch, provider_url: str, name: str, application: str) -> Iterator[Way]:
    """A web process on the tested core."""
    port = services.free_port("127.0.0.1")
    env = {**launch.env, "HUB_SANDBOX_URL": provider_url, "HUB_PORT": str(port)}
    program = services.web("127.0.0.1", port, env)
    command = [application if part == APPLICATION else part for part in program.command]
    assert application in command
    with ground.process(command, ground.TESTED_CORE, program.env) as pid:
        address = f"http://127.0.0.1:{port}"
        ground.wait_for(f"{address}/healthz")
        yield Way(name, address, ground.token(address), pid)


def turns(ways: list[Way], rounds: int, connections: int, seconds: float) -> None:
    """Each in its turn, round after round."""
    for _ in range(rounds):
        for each in ways:
            each.measure(connections, seconds)


def manage(launch: Launch, *command: str) -> None:
    """Run one of the hub's own commands."""
    words = [sys.executable, "manage.py", *command]
    subprocess.run(words, cwd=ROOT, env=launch.env, check=True, capture_output=True)


def secure(launch: Launch) -> None:
    """Row-level security from here on: policies, and the role that they bind."""
    url = launch.env["DATABASE_URL"]
    launch.env["HUB_ROW_SECURITY"] = "1"
    manage(launch, "migrate", "--verbosity", "0")
    launch.env["DATABASE_URL"] = servers.for_processes(launch.places, url)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    how = options.rounds, options.connections, options.seconds
    print(f"{ground.machine()}; {options.rounds} x {options.seconds:g} s, c={options.connections}")
    with ExitStack() as ground_floor:
        ground_floor.enter_context(patch.dict(os.environ, {"HUB_ROW_SECURITY": "0"}))
        launch = ground_floor.enter_context(ground.servers())
        url = ground_floor.enter_context(ground.provider(0))
        with ExitStack() as stack:
            bare = stack.enter_context(way(launch, url, "the road alone", BARE))
            spooled = stack.enter_context(way(launch, url, "+ spool", APPLICATION))
            turns([bare, spooled], *how)
        manage(launch, "shell", "--command", LIMIT)
        with way(launch, url, "+ spool, rate limit", APPLICATION) as paced:
            turns([paced], *how)
        secure(launch)
        with way(launch, url, "+ spool, rate limit, row security", APPLICATION) as whole:
            turns([whole], *how)
    first = statistics.median(each["rps"] for each in bare.told)
    ground.show("Guarantees", COLUMNS, (each.row(first) for each in (bare, spooled, paced, whole)))


if __name__ == "__main__":
    main()
