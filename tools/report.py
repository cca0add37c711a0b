"""What the launcher says: progress lines with the elapsed seconds, and faults in one sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAIL_LINES = 15
TELLING = ("error", "fatal", "failed: ")
#: In the environment, so that boot.py and the stack.py that it becomes count from the same moment.
STARTED = float(os.environ.setdefault("HUB_STARTED_AT", str(time.time())))


class Fault(Exception):
    """What keeps the launcher from going on, in one sentence for the person who started it."""


class Stopped(BaseException):
    """The person who started it wants it to end; no ``except Exception`` may swallow that."""


def say(text: str) -> None:
    """A progress line on stdout."""
    print(f"[{time.time() - STARTED:5.1f} s] {text}", flush=True)


def reason(output: object) -> str:
    """The line that tells best what went wrong, of a program's output or an error; without a stop."""
    lines = [line.strip(" \t.") for line in str(output).splitlines() if line.strip(" \t.")]
    telling = [line for line in lines if any(word in line.lower() for word in TELLING)]
    return (telling or lines or ["it said nothing"])[-1]


def tail(log: Path) -> str:
    """The last lines of a log, indented; empty when there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
