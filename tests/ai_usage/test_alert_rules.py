"""From figures to findings, without a database."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ai_usage.domain.alerts import DEFAULTS, BudgetState, Figures, Finding, Line, findings

DAY = date(2026, 11, 21)
MONTH = date(2026, 11, 1)
NANO = 10**9


def budget(spent: float, limit: int = 100, **changes: Any) -> BudgetState:
    known: dict[str, Any] = {
        "id": 7,
        "scope": "company",
        "scope_value": "",
        "period": "month",
        "unit": "nano_usd",
        "limit": limit * NANO,
        "spent": round(spent * NANO),
        "starts_on": MONTH,
        "sandbox": False,
    }
    return BudgetState(**{**known, **changes})


def line(jobs: int = 0, **changes: Any) -> Line:
    known: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "sandbox": False, "jobs": jobs}
    return Line(**{**known, **changes})


def found(thresholds: dict[str, Decimal] = DEFAULTS, **figures: Any) -> list[Finding]:
    return findings(Figures(DAY, **figures), thresholds)


def types(thresholds: dict[str, Decimal] = DEFAULTS, **figures: Any) -> list[str]:
    return [each.alert_type for each in found(thresholds, **figures)]


def test_the_defaults() -> None:
    assert {name: str(value) for name, value in DEFAULTS.items()} == {
        "quota_warning": "0.8",
        "quota_critical": "0.95",
        "quota_exceeded": "1",
        "cost_warning": "0.8",
        "cost_exceeded": "1",
        "daily_spike": "3",
        "high_failure_rate": "0.05",
        "slow_execution": "30",
        "high_cost_deviation": "2",
        "unusual_usage": "3",
    }


class TestBudgets:
    @pytest.mark.parametrize(
        ("spent", "expected", "news"),
        [
            (79.999999, [], []),
            (80, ["cost_warning"], ["cost_warning"]),
            (99.9, ["cost_warning"], ["cost_warning"]),
            (100, ["cost_warning", "cost_exceeded"], ["cost_exceeded"]),
            (250, ["cost_warning", "cost_exceeded"], ["cost_exceeded"]),
        ],
    )
    def test_costs(self, spent: float, expected: list[str], news: list[str]) -> None:
        passed = found(budgets=(budget(spent),))

        assert [each.alert_type for each in passed] == expected
        assert [each.alert_type for each in passed if each.is_news] == news

    @pytest.mark.parametrize(
        ("spent", "news"),
        [(79, []), (80, ["quota_warning"]), (95, ["quota_critical"]), (100, ["quota_exceeded"])],
    )
    @pytest.mark.parametrize("changes", [{"unit": "tokens"}, {"unit": "jobs"}, {"scope": "provider"}])
    def test_quotas(self, changes: dict[str, Any], spent: int, news: list[str]) -> None:
        passed = found(budgets=(budget(spent, **changes),))

        assert [each.alert_type for each in passed if each.is_news] == news

    def test_what_is_said(self) -> None:
        (each,) = found(budgets=(budget(83.25, sandbox=True),))

        assert str(each.message) == (
            "Budget 7 (company, month): 83.250000 USD of 100.000000 USD used, 83.3 %."
        )
        assert each.key == ("cost_warning", "budget:7", MONTH, True)
        assert (each.threshold, each.current, each.severity) == (
            Decimal("0.8"),
            Decimal("0.832500"),
            "warning",
        )

    def test_a_budget_of_nothing_says_nothing(self) -> None:
        assert found(budgets=(budget(0, limit=0), budget(5, limit=0))) == []

    def test_own_thresholds(self) -> None:
        half = {"cost_warning": Decimal("0.5")}

        assert types(half, budgets=(budget(50),)) == ["cost_warning"]
        assert types(half, budgets=(budget(120),)) == ["cost_warning"]
        assert types({}, budgets=(budget(120),)) == []


class TestDays:
    WEEK = (line(70, cost=70 * NANO),)

    @pytest.mark.parametrize(
        ("jobs", "cost", "expected"),
        [
            (30, 30, []),
            (30, 31, ["daily_spike"]),
            (31, 31, ["daily_spike", "unusual_usage"]),
            (31, 30, ["unusual_usage"]),
            (9, 500, []),
        ],
    )
    def test_spikes(self, jobs: int, cost: int, expected: list[str]) -> None:
        today = (line(jobs, cost=cost * NANO, timed=jobs),)

        assert types(today=today, before=self.WEEK, active_days=(7, 0)) == expected

    def test_too_few_days_say_nothing(self) -> None:
        today = (line(100, cost=100 * NANO),)

        assert types(today=today, before=self.WEEK, active_days=(2, 0)) == []
        assert types(today=today) == []

    @pytest.mark.parametrize(("failed", "expected"), [(5, []), (6, ["high_failure_rate"])])
    def test_failures(self, failed: int, expected: list[str]) -> None:
        today = (line(60, failed=failed), line(40, model="o3"), line(5, provider="infomaniak", failed=5))

        assert types(today=today) == expected

    @pytest.mark.parametrize(("ms", "expected"), [(300_000, []), (300_100, ["slow_execution"])])
    def test_slowness(self, ms: int, expected: list[str]) -> None:
        assert types(today=(line(10, timed=10, ms=ms),)) == expected
        assert types(today=(line(9, timed=9, ms=ms * 9),)) == []

    @pytest.mark.parametrize(("cost", "expected"), [(20, []), (21, ["high_cost_deviation"])])
    def test_dearer_jobs(self, cost: int, expected: list[str]) -> None:
        before = (line(100, cost=100), line(100, model="o3", cost=9))
        today = (line(10, cost=cost),)

        assert types(today=today, before=before) == expected
        assert types(today=(line(9, cost=900),), before=before) == []
        assert types(today=today, before=(line(9, cost=1),)) == []

    def test_the_sandbox_and_the_real_are_apart(self) -> None:
        today = (line(40, sandbox=True, cost=40 * NANO, failed=20), line(20))

        (each,) = found(today=today, before=self.WEEK, active_days=(7, 0))

        assert (each.alert_type, each.sandbox, each.current) == ("high_failure_rate", True, Decimal("0.5"))
        assert str(each.message) == "20 of 40 jobs of openai failed today (50 %)."

    def test_the_companys_own_threshold_is_told(self) -> None:
        (each,) = found({"high_failure_rate": Decimal("0.3")}, today=(line(10, failed=4),))

        assert each.threshold == Decimal("0.3")
