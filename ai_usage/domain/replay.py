"""What a limit would have refused of what was really used: usage is told again, job by job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Use(NamedTuple):
    """A job that was run: in which window, how much of the limit's unit, and whose it was."""

    window: object
    amount: int
    who: str


@dataclass(slots=True)
class Outcome:
    """How many jobs were looked at (``is_partial``: there were more), and who would have been refused."""

    jobs: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    is_partial: bool = False

    @property
    def total(self) -> int:
        return sum(self.refused.values())

    @property
    def ranks(self) -> list[tuple[str, int]]:
        """Who, the most refused first."""
        return sorted(self.refused.items(), key=lambda rank: (-rank[1], rank[0]))


def replay(uses: Iterable[Use], limit: int, spent: dict[object, int]) -> Outcome:
    """Jobs in their order against windows with what was ``spent`` before; a refused one uses nothing."""
    outcome, used = Outcome(), dict(spent)
    for use in uses:
        outcome.jobs += 1
        before = used.get(use.window, 0)
        if before + use.amount > limit:
            outcome.refused[use.who] += 1
        else:
            used[use.window] = before + use.amount
    return outcome
