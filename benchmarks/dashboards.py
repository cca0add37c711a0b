"""Figures and lists over a filled database: ``python -m benchmarks.dashboards [--rows 100000,10000000]``.

Each address is asked over HTTP by the owner of the company that has three tenths of the rows; p50 and
p95 of what the client waits for, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.request import Request, urlopen

from benchmarks import ground
from tools.client import Client
from tools.launch import Launch

ASKED = {
    "dashboard": "/ai/usage/dashboard/",
    "dashboard, 366 days": "/ai/usage/dashboard/?days=366",
    "cost_breakdown": "/ai/usage/cost_breakdown/",
    "model_comparison": "/ai/usage/model_comparison/",
    "performance": "/ai/usage/performance/",
    "stats": "/ai/usage/stats/",
    "dashboard of jobs": "/ai/jobs/dashboard/",
    "jobs that failed": "/ai/jobs/by_status/?status=failed",
    "list, page 1": "/ai/usage/",
    "list of a model, page 1": "/ai/usage/?model_name=o3&total_cost__gte=0.0005",
    "list, page 1,000": "/ai/usage/?page=1000",
    "list by cost, page 1": "/ai/usage/?ordering=-total_cost",
}
TIMES = 40


def main() -> None:
    """A table for each number of rows, on one database that grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="100000,10000000", help="how many rows, in rising order")
    parser.add_argument("--var", type=Path, help="keep the database there, and use what it holds")
    asked = parser.parse_args()
    print(ground.machine())
    with ground.servers(asked.var) as launch:
        there = filled(launch)
        for rows in [int(number) for number in asked.rows.split(",")]:
            if rows > there:
                fill(launch, rows - there)
                there = rows
            with ground.hub(launch, "http://127.0.0.1:9") as (address, _, _):
                token = owner_token(address)
                ground.show(f"{rows:,} rows", ["", "p50 ms", "p95 ms"], measured(address, token))


def filled(launch: Launch) -> int:
    """How many rows there are from an earlier run."""
    statement = "from ai_usage.models import LedgerEntry as L; print(L.objects.unscoped().count())"
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", statement]
    told = subprocess.run(command, cwd=ground.ROOT, env=launch.env, check=True, capture_output=True)
    return int(told.stdout.split()[-1])


def fill(launch: Launch, rows: int) -> None:
    """Add rows; the rate at which they went in is told."""
    began = time.monotonic()
    command = [sys.executable, "manage.py", "fill_usage", "--rows", str(rows)]
    env = launch.env
    subprocess.run(
        [*command, "--password", ground.PASSWORD], cwd=ground.ROOT, env=env, check=True, capture_output=True
    )
    seconds = time.monotonic() - began
    print(f"\n{rows:,} rows filled and folded in {seconds:.0f} s", flush=True)


def owner_token(address: str) -> str:
    """An access token of the largest company's owner."""
    client = Client(address.removeprefix("http://"))
    told = client.post("/auth/token/", {"username": "filled-1", "password": ground.PASSWORD})
    return str(told[1]["access"])


def measured(address: str, token: str) -> Iterator[list[Any]]:
    """What each address takes."""
    for name, path in ASKED.items():
        ask(address + path, token)
        times = [ask(address + path, token) for _ in range(TIMES)]
        cuts = quantiles(times, n=20, method="inclusive")
        yield [name, cuts[9], cuts[18]]


def ask(url: str, token: str) -> float:
    """Milliseconds until the whole answer is there."""
    began = time.perf_counter()
    with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=120) as answer:
        json.load(answer)
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
