"""Searching jobs' texts: ``python -m benchmarks.search [--jobs 200000] [--var DIR]``.

One company's jobs with prompts of about 1 KB, in words of these documents; asked over HTTP with a word that
is in every tenth job, in twenty, and in none: a page (which counts what there is) and a page by cursor,
first as they were without blocks, then with them. In between the blocks are made: how long it took, how
large they are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks import dashboards, ground
from tools.launch import Launch

WORDS = {"every tenth": "marzipan", "in twenty": "xylophonist", "in none": "quokkaberry"}
TIMES = 12


def main() -> None:
    """The table without blocks, what they cost, the table with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--var", type=Path, help="keep the database there, and use what it holds")
    parser.add_argument("--times", type=int, default=TIMES)
    asked = parser.parse_args()
    print(ground.machine())
    with ground.servers(asked.var) as launch:
        if not dashboards.filled(launch):
            command = ["fill_usage", "--rows", str(asked.jobs), "--companies", "1"]
            managed(launch, *command, "--password", ground.PASSWORD)
            print("filled with texts:", shell(launch, f"fill({list(WORDS.values())!r})"), flush=True)
        shell(launch, "forget()")
        table(launch, "without blocks", asked.times)
        print("\nblocks made:", shell(launch, "build()"), flush=True)
        table(launch, "with blocks", asked.times)


def table(launch: Launch, title: str, times: int) -> None:
    """Each word, by page and by cursor."""
    with ground.hub(launch, "http://127.0.0.1:9") as (address, _, _):
        token = dashboards.owner_token(address)
        ground.show(title, ["", "p50 ms", "p95 ms"], measured(address, token, times))


def measured(address: str, token: str, times: int) -> Iterator[list[Any]]:
    """What each word takes."""
    for name, word in WORDS.items():
        for way, more in (("page 1", ""), ("by cursor", "&cursor=")):
            url = f"{address}/ai/jobs/?search={word}{more}"
            dashboards.ask(url, token)
            cuts = quantiles([dashboards.ask(url, token) for _ in range(times)], n=20, method="inclusive")
            yield [f"{name}, {way}", cuts[9], cuts[18]]


def managed(launch: Launch, *command: str) -> str:
    """Run a command of manage.py; what it says last."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ground.ROOT,
        env=launch.env,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def shell(launch: Launch, call: str) -> str:
    """Call something of ``benchmarks.searching`` in a process of the hub's."""
    statement = f"from benchmarks import searching; print(searching.{call})"
    return managed(launch, "shell", "--verbosity", "0", "--command", statement)


if __name__ == "__main__":
    main()
