"""What the launcher says: progress lines with the elapsed seconds, and faults in one sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Set by the first process of the chain, so that all of them count from the same moment.
STARTED = "HUB_STARTED_AT"
TAIL_LINES = 15


class Fault(Exception):
    """What keeps the launcher from going on, in one sentence for the person who started it."""


class Stopped(BaseException):
    """The person who started it wants it to end; no ``except Exception`` may swallow that."""


def say(text: str) -> None:
    """A progress line on stdout."""
    started = float(os.environ.setdefault(STARTED, str(time.time())))
    elapsed = time.time() - started
    print(f"[{elapsed:5.1f} s] {text}", flush=True)


def reason(output: str) -> str:
    """The line of a program's output that tells best what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (telling or lines or ["it said nothing"])[-1]


def tail(log: Path) -> str:
    """The last lines of a log, indented; empty when there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
