"""What budgets would say to a job, without holding anything: dry runs, alternatives, batches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Q

from ai_usage.domain.budgets import Hold, Limit, Subject, holds, refusal
from ai_usage.models import BudgetWindow
from megahub.kernel import clock, money
from megahub.kernel.errors import HubError

#: (used, reserved) by (budget id, first day, sandbox).
Windows = dict[tuple[int, date, bool], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Room:
    """A budget's open window and what a job would hold of it."""

    limit: Limit
    hold: Hold
    spent: int
    reserved: int

    @property
    def left(self) -> int:
        return max(0, self.limit.limit - self.spent - self.reserved)

    @property
    def fits(self) -> bool:
        """A soft budget only counts."""
        return not self.limit.is_hard or self.hold.amount <= self.left

    def refusal(self, subject: Subject, moment: datetime) -> HubError:
        """The error that a job would get."""
        return refusal(self.limit, subject, moment, self.hold.amount, self.spent, self.reserved)

    def as_data(self) -> dict[str, Any]:
        """Its figures as clients read them: decimal strings of USD, or whole tokens and jobs."""
        show: Any = money.show if self.limit.unit == "nano_usd" else int
        return {
            "scope": self.limit.scope,
            "scope_value": self.limit.scope_value or None,
            "period": self.limit.period,
            "unit": "usd" if self.limit.unit == "nano_usd" else self.limit.unit,
            "is_hard": self.limit.is_hard,
            "limit": show(self.limit.limit),
            "spent": show(self.spent),
            "reserved": show(self.reserved),
            "remaining": show(self.left),
            "requested": show(self.hold.amount),
            "fits": self.fits,
        }


def open_windows(limits: tuple[Limit, ...], moment: datetime, zone: str) -> Windows:
    """The windows of these budgets that hold ``moment``."""
    wanted = Q(pk=None)
    for limit in limits:
        starts_on = clock.window_start(limit.period, moment, zone)
        wanted |= Q(budget_id=limit.id, starts_on=starts_on)
    windows = BudgetWindow.objects.filter(wanted)
    return {(each.budget_id, each.starts_on, each.sandbox): (each.used, each.held) for each in windows}


def rooms(
    limits: tuple[Limit, ...],
    windows: Windows,
    subject: Subject,
    moment: datetime,
    usd_nano: int,
    tokens: int,
) -> list[Room]:
    """What every budget that counts the job would say to it, in the order of asking."""
    by_id = {limit.id: limit for limit in limits}
    asked = holds(limits, subject, moment, usd_nano, tokens)
    return [Room(by_id[hold.budget_id], hold, *windows.get(hold.window, (0, 0))) for hold in asked]
