"""Which budgets a job counts against, and in whose words a refusal is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from megahub.kernel import clock, money
from megahub.kernel.errors import (
    CostLimitExceeded,
    HubError,
    O3BudgetExceeded,
    QuotaExceeded,
    ReasoningQuotaExceeded,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget's definition, as remembered by processes."""

    id: int
    scope: str
    scope_value: str
    period: str
    unit: str
    limit: int
    is_hard: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """What budgets' scopes are matched against: the job that asks."""

    company_id: int
    brand_id: int | None
    user_id: int
    api_key_id: int | None
    provider: str
    model: str
    model_name: str
    is_reasoning: bool
    timezone: str
    sandbox: bool

    def matches(self, limit: Limit) -> bool:
        """Whether the job counts against the budget."""
        if limit.scope == "company":
            return True
        if limit.scope == "reasoning":
            return self.is_reasoning
        own = {
            "brand": self.brand_id,
            "user": self.user_id,
            "api_key": self.api_key_id,
            "provider": self.provider,
            "model": self.model,
        }[limit.scope]
        return own is not None and str(own) == limit.scope_value


@dataclass(frozen=True, slots=True)
class Hold:
    """How much of which window a job asks to reserve."""

    budget_id: int
    starts_on: date
    sandbox: bool
    amount: int
    unit: str
    is_hard: bool

    @property
    def window(self) -> tuple[int, date, bool]:
        return self.budget_id, self.starts_on, self.sandbox


def holds(
    limits: tuple[Limit, ...], subject: Subject, moment: datetime, usd_nano: int, tokens: int
) -> tuple[Hold, ...]:
    """What a job reserves, by budget id (the order in which windows are locked)."""
    amounts = {"nano_usd": usd_nano, "tokens": tokens, "jobs": 1}
    return tuple(
        Hold(
            limit.id,
            clock.window_start(limit.period, moment, subject.timezone),
            subject.sandbox,
            amounts[limit.unit],
            limit.unit,
            limit.is_hard,
        )
        for limit in sorted(limits, key=lambda limit: limit.id)
        if subject.matches(limit)
    )


def refusal(
    limit: Limit, subject: Subject, moment: datetime, asked: int, spent: int, reserved: int
) -> HubError:
    """The error for a window that has no room: which one by the budget's scope and unit.

    Sources: reference/megahub-shapes.md (codes, statuses, facts), megahub-endpoints.md (sentences).
    """
    left = max(0, limit.limit - spent - reserved)
    words = {"model_name": subject.model_name, "provider": subject.provider}
    reset = clock.window_end(limit.period, moment, subject.timezone)
    if limit.unit == "jobs" and limit.scope == "reasoning":
        return ReasoningQuotaExceeded(
            retry_after=(reset - moment).total_seconds() if reset else None,
            param="model",
            model=subject.model,
            daily_reasoning_jobs=spent + reserved,
            daily_limit=limit.limit,
            reset_time=clock.iso(reset),
            words=words,
        )
    if limit.unit != "nano_usd" or limit.scope == "provider":
        show = money.show if limit.unit == "nano_usd" else str
        return QuotaExceeded(
            provider=subject.provider,
            current_usage=show(spent + reserved),
            limit=show(limit.limit),
            remaining_quota=show(left),
            requested=show(asked),
            unit=limit.unit,
            period=limit.period,
            scope=limit.scope,
        )
    kind = O3BudgetExceeded if limit.scope == "reasoning" else CostLimitExceeded
    return kind(
        param="model",
        model=subject.model,
        estimated_cost=money.show(asked),
        daily_budget_remaining=money.show(left),
        budget={"scope": limit.scope, "period": limit.period, "limit": money.show(limit.limit)},
        reset_time=clock.iso(reset),
        words=words,
    )
