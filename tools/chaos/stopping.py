"""Stopping workers in mid-call for longer than their lease: what came of each call that was under way."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field

from tools.chaos import evidence
from tools.chaos.stage import Stage

#: How long the provider takes to answer: a stop must fall in between.
CALL_MS = 3000
#: What a worker that is being stopped had sent to its database arrives first.
SETTLES_SECONDS = 0.3
CALLING = (
    "SELECT a.job_id, a.attempt_no, s.pid FROM ai_core_attempt a"
    " JOIN ai_core_workersession s ON s.id = a.session_id"
    " WHERE a.phase = 'calling' AND s.kind = 'worker' AND s.ended_at IS NULL"
)
PHASES = "SELECT job_id, attempt_no FROM ai_core_attempt WHERE phase = '{phase}'"
#: (A job that was lost twice is voided by the reaper, under its last attempt's number.)
SETTLED = "SELECT job_id, attempt_no FROM ai_usage_ledgerentry WHERE kind = 'settle'"
COSTS = "SELECT job_id, attempt_no FROM ai_usage_ledgerentry WHERE kind = 'late'"
Key = tuple[int, int]


@dataclass
class Stops:
    """``held`` are the calls that were under way when their process was stopped."""

    stops: int = 0
    held: set[Key] = field(default_factory=set)

    def settled(self, url: str) -> int:
        """How many of these ended their job after all."""
        return len(self.held & keys(url, SETTLED))

    def late(self, url: str) -> int:
        """Of how many the cost is in the ledger."""
        return len(self.held & keys(url, COSTS))


def keys(url: str, query: str) -> set[Key]:
    """Attempts that a query finds."""
    return {(row["job_id"], row["attempt_no"]) for row in evidence.rows(url, query)}


def wave(stage: Stage, found: Stops, most: int, lease: float) -> None:
    """Stop up to ``most`` workers that are calling; let them go on once their jobs were taken back."""
    url = stage.judges_url
    children = {c.process.pid for c in stage.supervisor.children if c.program.name.startswith("worker")}
    stage.watch_until(lambda: bool(evidence.rows(url, CALLING)), 10)
    time.sleep(SETTLES_SECONDS)
    pids = sorted({row["pid"] for row in evidence.rows(url, CALLING)} & children)[:most]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SETTLES_SECONDS)
    rows = evidence.rows(url, CALLING)
    held = {(row["job_id"], row["attempt_no"]) for row in rows if row["pid"] in pids}
    stage.watch_until(lambda: not held & keys(url, PHASES.format(phase="calling")), 3 * lease + 20)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    stage.watch_until(lambda: held <= keys(url, PHASES.format(phase="late")), 20)
    found.held |= held
    found.stops += len({row["pid"] for row in rows if row["pid"] in pids})
