"""When a failed delivery is tried again: exponentially later, with jitter, for three days.

The steps are those that the Standard Webhooks specification recommends; they add up to 75 hours.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

#: Seconds after the first, second, … failure.
STEPS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2
#: A receiver may ask for patience, within reason.
LONGEST = 86_400
#: An endpoint that has only failed for so long, so many times, is switched off.
LASTING = timedelta(days=3)
LASTING_FAILURES = 10


def next_at(attempts: int, moment: datetime, retry_after: float | None = None) -> datetime | None:
    """When to try again after ``attempts`` attempts, all failed; None when it is given up."""
    if attempts > len(STEPS):
        return None
    step = STEPS[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 # nosec B311
    return moment + timedelta(seconds=max(step, min(retry_after or 0.0, LONGEST)))


def is_lasting(failing_since: datetime | None, failures: int, moment: datetime) -> bool:
    """Whether an endpoint has failed for too long to be tried any more."""
    return failing_since is not None and moment - failing_since >= LASTING and failures >= LASTING_FAILURES
