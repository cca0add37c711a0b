"""Exports beside COPY of the same query: ``python -m benchmarks.exports [--rows 1000000] [--var DIR]``.

Each in a process of its own, into a file: rows per second, and by how much the process grew beyond what it
had before its first row. ``--var`` is a database that ``benchmarks.dashboards`` has filled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import ground
from tools.launch import Launch

FORMATS = ("COPY", "csv", "jsonl", "xlsx")
#: The first company's share of what is filled.
SHARE = 0.3


def main() -> None:
    """A table of the formats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--var", type=Path, help="a filled database; without it one is filled")
    parser.add_argument("--formats", default=",".join(FORMATS))
    asked = parser.parse_args()
    print(ground.machine())
    with ground.servers(asked.var) as launch:
        if asked.var is None:
            fill(launch, round(asked.rows / SHARE))
        columns = ["", "rows", "seconds", "rows/s", "MiB above idle", "MiB of file"]
        ground.show(f"{asked.rows:,} rows", columns, measured(launch, asked.rows, asked.formats.split(",")))


def fill(launch: Launch, rows: int) -> None:
    """So many rows, of which the first company has its share."""
    command = [
        sys.executable,
        "manage.py",
        "fill_usage",
        "--rows",
        str(rows),
        "--password",
        ground.PASSWORD,
    ]
    subprocess.run(command, cwd=ground.ROOT, env=launch.env, check=True, capture_output=True)


def measured(launch: Launch, rows: int, formats: list[str]) -> Iterator[list[Any]]:
    """What each format takes."""
    for name in formats:
        statement = f"from benchmarks import exporting; print(*exporting.one({name!r}, {rows}))"
        command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", statement]
        done = subprocess.run(command, cwd=ground.ROOT, env=launch.env, check=True, capture_output=True)
        count, seconds, grown, size = (float(word) for word in done.stdout.split()[-4:])
        yield [name, f"{count:,.0f}", seconds, f"{count / seconds:,.0f}", grown, size]


if __name__ == "__main__":
    main()
