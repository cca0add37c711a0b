"""Which budgets a job counts against, in which windows, and how a refusal is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ai_usage.domain.budgets import Hold, Limit, Subject, holds, refusal
from megahub.kernel import surfaces
from megahub.kernel.errors import (
    CostLimitExceeded,
    HubError,
    O3BudgetExceeded,
    QuotaExceeded,
    ReasoningQuotaExceeded,
)

USD = 1_000_000_000
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
JOB = Subject(
    company_id=1,
    brand_id=9,
    user_id=7,
    api_key_id=None,
    provider="openai",
    model="o3",
    model_name="O3",
    is_reasoning=True,
    timezone="Europe/Zurich",
    sandbox=False,
)
#: Facts that megahub-shapes.md names and that the rules cannot know yet: they need the catalogue.
NOT_YET = {"suggestions", "alternatives"}


def limit(scope: str = "company", value: str = "", **fields: Any) -> Limit:
    known: dict[str, Any] = {
        "id": 1,
        "period": "day",
        "unit": "nano_usd",
        "limit": 100 * USD,
        "is_hard": True,
    }
    return Limit(scope=scope, scope_value=value, **{**known, **fields})


def told(error: HubError) -> dict[str, Any]:
    """The refusal's body on MEGAHUB's surface."""
    return surfaces.megahub(error, str, "r")


def test_it_works() -> None:
    assert holds((limit(),), JOB, NOON, 5 * USD, 1000) == (
        Hold(
            budget_id=1,
            starts_on=date(2026, 11, 20),
            sandbox=False,
            amount=5 * USD,
            unit="nano_usd",
            is_hard=True,
        ),
    )


class TestMatches:
    @pytest.mark.parametrize(
        ("scope", "value", "counts"),
        [
            ("company", "", True),
            ("company", "anything", True),
            ("reasoning", "", True),
            ("brand", "9", True),
            ("brand", "10", False),
            ("user", "7", True),
            ("user", "77", False),
            ("provider", "openai", True),
            ("provider", "OpenAI", False),
            ("model", "o3", True),
            ("model", "o3-mini", False),
            # Nobody's key is no key.
            ("api_key", "None", False),
            ("api_key", "", False),
        ],
    )
    def test_scopes(self, scope: str, value: str, counts: bool) -> None:
        assert JOB.matches(limit(scope, value)) is counts

    def test_an_api_key(self) -> None:
        job = replace(JOB, api_key_id=3)

        assert job.matches(limit("api_key", "3"))
        assert not job.matches(limit("api_key", "33"))

    def test_without_a_brand(self) -> None:
        job = replace(JOB, brand_id=None)

        assert not job.matches(limit("brand", "9"))
        assert not job.matches(limit("brand", "None"))

    def test_what_does_not_reason(self) -> None:
        assert not replace(JOB, is_reasoning=False).matches(limit("reasoning"))

    def test_an_unknown_scope_is_a_fault_of_ours(self) -> None:
        with pytest.raises(KeyError):
            JOB.matches(limit("planet"))


class TestHolds:
    def test_amounts_by_unit(self) -> None:
        limits = tuple(limit(id=n, unit=unit) for n, unit in enumerate(("nano_usd", "tokens", "jobs")))

        assert [(h.unit, h.amount) for h in holds(limits, JOB, NOON, 5 * USD, 1000)] == [
            ("nano_usd", 5 * USD),
            ("tokens", 1000),
            ("jobs", 1),
        ]

    def test_in_the_order_of_locking(self) -> None:
        """By id, whatever the order given, so that two jobs never wait for each other."""
        limits = (limit(id=3), limit(id=1), limit("model", "o4", id=2), limit(id=7), limit(id=5))

        assert [hold.budget_id for hold in holds(limits, JOB, NOON, 1, 1)] == [1, 3, 5, 7]

    def test_played_money_is_kept_apart(self) -> None:
        (real,) = holds((limit(),), JOB, NOON, 1, 1)
        (played,) = holds((limit(),), replace(JOB, sandbox=True), NOON, 1, 1)

        assert real.window == (1, date(2026, 11, 20), False)
        assert played.window == (1, date(2026, 11, 20), True)

    def test_soft_ones_are_held_as_well(self) -> None:
        (hold,) = holds((limit(is_hard=False),), JOB, NOON, 1, 1)

        assert hold.is_hard is False

    @pytest.mark.parametrize(
        ("period", "starts_on"),
        [("day", date(2026, 11, 20)), ("month", date(2026, 11, 1)), ("total", date(1970, 1, 1))],
    )
    def test_windows(self, period: str, starts_on: date) -> None:
        (hold,) = holds((limit(period=period),), JOB, NOON, 1, 1)

        assert hold.starts_on == starts_on

    @pytest.mark.parametrize(
        ("zone", "starts_on"),
        [
            ("Europe/Zurich", date(2026, 12, 1)),
            ("UTC", date(2026, 11, 30)),
            ("America/New_York", date(2026, 11, 30)),
        ],
    )
    def test_a_day_is_the_companys_own(self, zone: str, starts_on: date) -> None:
        """23:30 in Greenwich on the last of November is December in Zurich."""
        late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
        days, months = (
            holds((limit(period=period),), replace(JOB, timezone=zone), late, 1, 1)[0].starts_on
            for period in ("day", "month")
        )

        assert days == starts_on
        assert months == starts_on.replace(day=1)


class TestRefusals:
    """Codes, statuses and facts of the table in megahub-shapes.md, sentences of megahub-endpoints.md."""

    def test_cost(self) -> None:
        found = refusal(limit(), JOB, NOON, 5_670_000_000, 90 * USD, 7_660_000_000)

        assert (type(found), found.status, found.retry_after) == (CostLimitExceeded, 403, None)
        assert {key: value for key, value in told(found).items() if key not in NOT_YET} == {
            "detail": "Estimated cost exceeds budget limits for O3 model",
            "error": "Estimated cost exceeds budget limits for O3 model",
            "error_code": "COST_LIMIT_EXCEEDED",
            "model": "o3",
            "estimated_cost": "5.670000",
            "daily_budget_remaining": "2.340000",
            "budget": {"scope": "company", "period": "day", "limit": "100.000000"},
            "reset_time": "2026-11-20T23:00:00Z",
        }

    @pytest.mark.parametrize("scope", ["brand", "user", "api_key", "model"])
    def test_cost_of_other_scopes(self, scope: str) -> None:
        found = refusal(limit(scope, "9", period="month"), JOB, NOON, USD, 0, 100 * USD)

        assert type(found) is CostLimitExceeded
        assert found.facts["budget"] == {"scope": scope, "period": "month", "limit": "100.000000"}
        assert found.facts["reset_time"] == "2026-11-30T23:00:00Z"

    def test_reasoning_budget(self) -> None:
        found = refusal(limit("reasoning"), JOB, NOON, USD, 100 * USD, 0)

        assert (type(found), found.status) == (O3BudgetExceeded, 403)
        assert {key: value for key, value in told(found).items() if key not in NOT_YET} == {
            "detail": "Estimated cost exceeds the daily reasoning budget for O3 model",
            "error": "Estimated cost exceeds the daily reasoning budget for O3 model",
            "error_code": "O3_BUDGET_EXCEEDED",
            "model": "o3",
            "estimated_cost": "1.000000",
            "daily_budget_remaining": "0.000000",
            "budget": {"scope": "reasoning", "period": "day", "limit": "100.000000"},
            "reset_time": "2026-11-20T23:00:00Z",
        }

    def test_reasoning_jobs(self) -> None:
        found = refusal(limit("reasoning", unit="jobs", limit=50), JOB, NOON, 1, 47, 3)

        assert (type(found), found.status) == (ReasoningQuotaExceeded, 429)
        assert {key: value for key, value in told(found).items() if key not in NOT_YET} == {
            "detail": "Daily reasoning quota exceeded for O3",
            "error": "Daily reasoning quota exceeded for O3",
            "error_code": "REASONING_QUOTA_EXCEEDED",
            "model": "o3",
            "daily_reasoning_jobs": 50,
            "daily_limit": 50,
            "reset_time": "2026-11-20T23:00:00Z",
        }
        # Eleven hours until midnight in Zurich.
        assert surfaces.headers(found) == {"Retry-After": "39600"}

    def test_quota_of_a_provider(self) -> None:
        found = refusal(limit("provider", "openai", period="month"), JOB, NOON, USD, 99 * USD, USD // 2)

        assert (type(found), found.status) == (QuotaExceeded, 403)
        assert told(found) == {
            "detail": "The openai quota of this company is used up.",
            "error": "The openai quota of this company is used up.",
            "error_code": "QUOTA_EXCEEDED",
            "provider": "openai",
            "current_usage": "99.500000",
            "limit": "100.000000",
            "remaining_quota": "0.500000",
            "requested": "1.000000",
            "unit": "nano_usd",
            "period": "month",
            "scope": "provider",
        }

    @pytest.mark.parametrize("scope", ["provider", "company", "brand"])
    @pytest.mark.parametrize("unit", ["tokens", "jobs"])
    def test_quota_of_tokens_and_jobs(self, scope: str, unit: str) -> None:
        found = refusal(limit(scope, unit=unit, limit=1_000_000), JOB, NOON, 500, 900_000, 99_800)

        assert type(found) is QuotaExceeded
        assert found.facts == {
            "provider": "openai",
            "current_usage": "999800",
            "limit": "1000000",
            "remaining_quota": "200",
            "requested": "500",
            "unit": unit,
            "period": "day",
            "scope": scope,
        }

    def test_nothing_is_left_rather_than_less(self) -> None:
        """A limit that was lowered below what is spent already."""
        found = refusal(limit(limit=0), JOB, NOON, USD, 5 * USD, USD)

        assert found.facts["daily_budget_remaining"] == "0.000000"

    def test_a_total_never_resets(self) -> None:
        assert refusal(limit(period="total"), JOB, NOON, 1, 1, 1).facts["reset_time"] is None
        jobs = refusal(limit("reasoning", unit="jobs", period="total"), JOB, NOON, 1, 1, 1)
        assert (jobs.facts["reset_time"], jobs.retry_after) == (None, None)

    @pytest.mark.parametrize(
        ("moment", "reset"),
        [
            # The night in which Zurich's clocks go forward has 23 hours, the one in autumn 25.
            (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "2026-03-29T22:00:00Z"),
            (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), "2026-10-25T23:00:00Z"),
        ],
    )
    def test_days_that_are_not_24_hours(self, moment: datetime, reset: str) -> None:
        assert refusal(limit(), JOB, moment, 1, 1, 1).facts["reset_time"] == reset
