"""A provider's monthly quota: what a company starts with, how much is used, where the month will end.

A quota is two budgets of the scope ``provider`` (tokens, and nano-USD), so that one mechanism refuses;
this says how the two are read together. Defaults: reference/megahub-shapes.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

USD = 1_000_000_000
#: What stands for "no limit": such a budget counts and never refuses.
NO_LIMIT = 2**63 - 1
DEFAULTS = {"openai": (1_000_000, 100 * USD)}
OF_THE_OTHERS = (500_000, 50 * USD)
NEAR_PERCENT = 80
#: Nothing is projected from less than this part of a month.
LEAST_TO_PROJECT = timedelta(days=1)


def default_limits(provider: str, tokens: int = 0) -> dict[str, int]:
    """What a company starts with, by unit; ``tokens`` above 0 goes before the usual number."""
    usual, nano_usd = DEFAULTS.get(provider, OF_THE_OTHERS)
    return {"tokens": tokens if tokens > 0 else usual, "nano_usd": nano_usd}


@dataclass(frozen=True, slots=True)
class Standing:
    """One of the two limits in the present month; ``limit`` is None where there is none.

    ``used`` is what counts against the limit, ``counted`` all that the month has used: they differ by
    what a reset has forgiven. ``reserved`` is held for jobs
    that have not ended, and for attempts whose outcome is unknown.
    """

    limit: int | None
    counted: int = 0
    forgiven: int = 0
    reserved: int = 0

    @property
    def used(self) -> int:
        return max(0, self.counted - self.forgiven)

    @property
    def remaining(self) -> int | None:
        """What the limit leaves, what is held not subtracted."""
        return None if self.limit is None else max(0, self.limit - self.used)

    @property
    def percent(self) -> float | None:
        """Of the limit, with two decimals; a limit of nothing is used up from the beginning."""
        if self.limit is None:
            return None
        return round(100 * self.used / self.limit, 2) if self.limit else 100.0

    @property
    def is_exceeded(self) -> bool:
        return self.limit is not None and self.used > self.limit

    def will_exceed(self, projected: int | None) -> bool | None:
        """Whether the month will end above the limit; None while that cannot be told."""
        if self.is_exceeded:
            return True
        if self.limit is None:
            return False
        return None if projected is None else projected - self.forgiven > self.limit


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in a company's time zone: its days, and where it begins and ends (aware)."""

    starts_on: date
    ends_on: date
    begins: datetime
    ends: datetime
    today: date

    @property
    def days_remaining(self) -> int:
        """Whole days after today."""
        return (self.ends_on - self.today).days

    def project(self, counted: int, moment: datetime) -> int | None:
        """What the month will have used at its present pace; None on its first day."""
        passed = moment - self.begins
        if passed < LEAST_TO_PROJECT:
            return None
        second = timedelta(seconds=1)
        return counted * ((self.ends - self.begins) // second) // max(1, passed // second)


@dataclass(frozen=True, slots=True)
class Quota:
    """A company's quota at a provider, real or played (``sandbox``)."""

    provider: str
    tokens: Standing
    cost: Standing
    sandbox: bool

    @property
    def percent(self) -> float | None:
        """Of the limit that is nearer."""
        known = [one.percent for one in (self.tokens, self.cost) if one.percent is not None]
        return max(known, default=None)

    @property
    def is_exceeded(self) -> bool:
        return self.tokens.is_exceeded or self.cost.is_exceeded

    @property
    def is_near(self) -> bool:
        return self.percent is not None and self.percent > NEAR_PERCENT
