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
ALL_JOBS = "SELECT count(*) AS n FROM ai_core_aijob"
#: A request that nobody waits for any more may still be written: no new job for so long is the end.
QUIET_SECONDS = 10.0
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
    if built.watch_until(_Quiet(url), patience):
        say(f"All jobs have ended, {time.monotonic() - began:.0f} s after the callers.")
    evidence.execute(url, TIME_PASSES)
    if built.watch_until(lambda: not count(url, UNTOLD), patience):
        say("Everything was told.")


class _Quiet:
    """Whether every job has ended and no new one has come for a while."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.known = -1
        self.since = 0.0

    def __call__(self) -> bool:
        jobs = count(self.url, ALL_JOBS)
        if jobs != self.known or count(self.url, OPEN_JOBS):
            self.known, self.since = jobs, time.monotonic()
        return time.monotonic() - self.since >= QUIET_SECONDS


def count(url: str, query: str) -> int:
    (row,) = evidence.rows(url, query)
    return int(row["n"])
