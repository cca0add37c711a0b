"""When a way to a provider is trusted with how many calls, and how many of them may be repeats.

Times are seconds of a monotonic clock. Source: reference/reliability.md, section 2.
"""

from __future__ import annotations

from collections import deque

#: A way is bad when half of at least so many calls failed in the window …
WINDOW_SECONDS = 30.0
LEAST_CALLS = 20
#: … or when so many in a row did not reach it.
MOST_UNREACHED = 5
#: So many calls of waiting jobs are trusted to a way that nobody has heard of lately; each answer adds one.
FIRST_CALLS = 16
AFTER_A_PROBE = 2
QUIET_SECONDS = 30.0
MOST_CALLS = 10_000


class Health:
    """What one process has seen of one way (a credential's, to one model) in the last moments."""

    def __init__(self) -> None:
        self.calls: deque[tuple[float, bool]] = deque()
        self.failures = 0
        self.unreached = 0
        self.in_flight = 0
        self.trusted = FIRST_CALLS
        self.heard_at = float("-inf")

    def answered(self, now: float) -> None:
        """A call was answered, be it by a refusal."""
        self._note(now, failed=False)
        self.unreached = 0
        self.heard_at = now
        if self.trusted < MOST_CALLS:
            self.trusted += 1

    def failed(self, now: float, *, unreached: bool) -> None:
        """A call came to nothing by the provider's fault; ``unreached`` when there was nobody at all."""
        self._note(now, failed=True)
        self.unreached = self.unreached + 1 if unreached else 0

    def is_bad(self, now: float) -> bool:
        """Whether to stop calling."""
        self._forget(now)
        half = len(self.calls) >= LEAST_CALLS and 2 * self.failures >= len(self.calls)
        return half or self.unreached >= MOST_UNREACHED

    def has_room(self, now: float) -> bool:
        """Whether one more call of a job that can wait is to be made now."""
        return self.in_flight < self.most(now)

    def most(self, now: float) -> int:
        """How many calls of jobs that can wait it is trusted with now."""
        if self.trusted > FIRST_CALLS and now - self.heard_at > QUIET_SECONDS:
            self.trusted = FIRST_CALLS
        return self.trusted

    def recovered(self) -> None:
        """A probe was answered: what was before does not count, and trust begins anew."""
        self.calls.clear()
        self.failures = self.unreached = 0
        self.trusted = AFTER_A_PROBE

    def _note(self, now: float, *, failed: bool) -> None:
        self._forget(now)
        self.calls.append((now, failed))
        self.failures += failed

    def _forget(self, now: float) -> None:
        while self.calls and self.calls[0][0] < now - WINDOW_SECONDS:
            self.failures -= self.calls.popleft()[1]


class RetryBudget:
    """Repeats are a share of the calls to a provider, with a little to begin with and a trickle."""

    MOST = 100.0
    AT_FIRST = 10.0
    A_SECOND = 0.1

    def __init__(self, share: float, now: float) -> None:
        self.share = share
        self.left = self.AT_FIRST
        self.seen_at = now

    def called(self) -> None:
        """A call was made."""
        self.left = min(self.MOST, self.left + self.share)

    def take(self, now: float) -> bool:
        """Whether one more call may be a repeat."""
        self.left = min(self.MOST, self.left + (now - self.seen_at) * self.A_SECOND)
        self.seen_at = now
        if self.left < 1 - 1e-9:  # a tenth, ten times over, is not quite one
            return False
        self.left -= 1
        return True


def next_hold(hold_seconds: float, first: float, most: float) -> float:
    """How long a way that failed its probe stays shut: twice as long each time."""
    return min(most, max(first, 2 * hold_seconds))
