"""After the faults: wait until every job has ended and was told of, for as long as the promises allow."""

from __future__ import annotations

import time

from tools.chaos import evidence
from tools.chaos.stage import Stage
from tools.report import say

#: The reaper may take so much longer than a lease.
REAPED_WITHIN_SECONDS = 30.0
JOBS_PER_SECOND = 20.0
ENDS = "('completed', 'failed', 'cancelled', 'timeout')"
OPEN_JOBS = f"SELECT count(*) AS n FROM ai_core_aijob WHERE status NOT IN {ENDS}"
UNTOLD = (
    "SELECT (SELECT count(*) FROM delivery_outbox WHERE relayed_at IS NULL)"
    " + (SELECT count(*) FROM delivery_webhookdelivery WHERE state = 'pending') AS n"
)
#: Nobody waits for three days: a delivery that failed is due again at once.
TIME_PASSES = "UPDATE delivery_webhookdelivery SET next_at = created_at, tries = 0 WHERE state = 'pending'"


def calm_down(built: Stage, lease: float, jobs: int) -> None:
    """Wait until every job has ended and was told of, for as long as the promise allows."""
    url = built.judges_url
    patience = lease + REAPED_WITHIN_SECONDS + jobs / JOBS_PER_SECOND
    began = time.monotonic()
    if built.watch_until(lambda: not count(url, OPEN_JOBS), patience):
        say(f"All jobs have ended, {time.monotonic() - began:.0f} s after the callers.")
    evidence.execute(url, TIME_PASSES)
    if built.watch_until(lambda: not count(url, UNTOLD), patience):
        say("Everything was told.")


def count(url: str, query: str) -> int:
    (row,) = evidence.rows(url, query)
    return int(row["n"])
