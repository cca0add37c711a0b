"""Shapes of ``/ai/budgets/``: amounts are decimal strings, of USD, tokens or jobs as ``unit`` says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from ai_usage.domain.quotas import NO_LIMIT
from ai_usage.models import Budget, BudgetWindow
from ai_usage.selectors import budgets as selectors
from megahub.kernel import clock, money
from megahub.kernel.shapes import Strict
from megahub.kernel.text import Text

UNITS = {
    "usd": Budget.Unit.NANO_USD.value,
    "tokens": Budget.Unit.TOKENS.value,
    "jobs": Budget.Unit.JOBS.value,
}
NAMES = {unit: name for name, unit in UNITS.items()}
#: The greatest limits that their column can hold.
MOST = {"usd": Decimal(10**9), "tokens": Decimal(10**18), "jobs": Decimal(10**18)}


class WindowShape(serializers.Serializer[Any]):
    """A calendar window. ``held`` is kept for jobs that run and for calls of unknown outcome; ``used`` is
    what was spent without what was forgiven, and ``left`` what the limit still has room for (null: all).
    ``over`` is how much more is used and held than the limit allows, as after one that was cut."""

    starts_on = serializers.DateField()
    sandbox = serializers.BooleanField()
    spent = serializers.CharField()
    forgiven = serializers.CharField()
    used = serializers.CharField()
    held = serializers.CharField()
    left = serializers.CharField(allow_null=True)
    over = serializers.CharField()


class BudgetShape(serializers.Serializer[Any]):
    """A budget. ``limit`` is null where a quota has none. ``current`` is today's window in the
    company's time zone, ``current_sandbox`` that of its played jobs; ``ends_at`` is null for a total."""

    id = serializers.IntegerField()
    scope = serializers.ChoiceField(choices=Budget.Scope.choices)
    scope_value = serializers.CharField()
    period = serializers.ChoiceField(choices=Budget.Period.choices)
    unit = serializers.ChoiceField(choices=[(name, name) for name in UNITS])
    limit = serializers.CharField(allow_null=True)
    is_hard = serializers.BooleanField()
    is_active = serializers.BooleanField()
    ends_at = serializers.DateTimeField(allow_null=True)
    current = WindowShape()
    current_sandbox = WindowShape()
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()


class ChangedBudget(Strict):
    """What is absent stays. What a budget counts does not change: make another."""

    limit = serializers.DecimalField(max_digits=28, decimal_places=9, min_value=0, required=False)
    is_hard = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row: Budget | None = self.context.get("row")
        unit = attrs.get("unit") or (NAMES[row.unit] if row else "usd")
        limit = attrs.get("limit")
        if limit is not None:
            if limit > MOST[unit]:
                raise serializers.ValidationError(
                    {"limit": [Text("At most {most}.", most=str(MOST[unit]))]}
                )
            if unit != "usd" and limit != limit.to_integral_value():
                raise serializers.ValidationError({"limit": [Text("A whole number.")]})
            attrs["limit"] = money.to_nano(limit) if unit == "usd" else int(limit)
        if "unit" in attrs:
            attrs["unit"] = UNITS[unit]
        return attrs


class NewBudget(ChangedBudget):
    """A budget counts from now on. ``scope_value`` names the brand, user or API key by its number, or the
    provider or model; it is "" for the company and for the reasoning models."""

    scope = serializers.ChoiceField(choices=Budget.Scope.choices, default="company")
    scope_value = serializers.CharField(max_length=120, allow_blank=True, default="")
    period = serializers.ChoiceField(choices=Budget.Period.choices)
    unit = serializers.ChoiceField(choices=[(name, name) for name in UNITS], default="usd")
    limit = serializers.DecimalField(max_digits=28, decimal_places=9, min_value=0)
    is_hard = serializers.BooleanField(default=True)
    is_active = serializers.BooleanField(default=True)


def amount(unit: str, value: int) -> str:
    """A window's number as it is told."""
    return money.exact(value) if unit == Budget.Unit.NANO_USD else str(value)


def window_of(budget: Budget, row: BudgetWindow) -> dict[str, Any]:
    """What ``WindowShape`` shows."""
    limit = None if budget.limit == NO_LIMIT else budget.limit
    taken = row.used + row.held
    amounts = {"spent": row.spent, "forgiven": row.forgiven, "used": row.used, "held": row.held}
    amounts["over"] = 0 if limit is None else max(0, taken - limit)
    return {
        "starts_on": row.starts_on,
        "sandbox": row.sandbox,
        **{name: amount(budget.unit, value) for name, value in amounts.items()},
        "left": None if limit is None else amount(budget.unit, max(0, limit - taken)),
    }


def shown(rows: list[Budget]) -> list[dict[str, Any]]:
    """What ``BudgetShape`` shows of a page of budgets."""
    now = clock.now()
    starts = {row.pk: clock.window_start(row.period, now, row.company.timezone) for row in rows}
    there = selectors.open_windows(rows, starts)
    return [
        {
            **{name: getattr(row, name) for name in ("id", "scope", "scope_value", "period")},
            "unit": NAMES[row.unit],
            "limit": None if row.limit == NO_LIMIT else amount(row.unit, row.limit),
            "is_hard": row.is_hard,
            "is_active": row.is_active,
            "ends_at": clock.iso(clock.window_end(row.period, now, row.company.timezone)),
            **{name: _open(there, row, starts[row.pk], played) for name, played in WINDOWS.items()},
            "created_at": clock.iso(row.created_at),
            "changed_at": clock.iso(row.changed_at),
        }
        for row in rows
    ]


WINDOWS = {"current": False, "current_sandbox": True}


def _open(
    there: dict[tuple[int, bool], BudgetWindow], row: Budget, start: date, played: bool
) -> dict[str, Any]:
    """A window that nothing has used yet has no row."""
    return window_of(row, there.get((row.pk, played)) or BudgetWindow(starts_on=start, sandbox=played))
