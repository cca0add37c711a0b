"""``/ai/usage/dashboard/`` and the other figures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ai_usage.models import BudgetWindow
from ai_usage.services import ratings
from megahub.kernel import clock
from megahub.tenancy.models import Brand, Membership
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.usage import entry, fold
from tests.world import Cast

Provider = Callable[..., Scripted]
FIGURES = (
    "dashboard",
    "cost_breakdown",
    "model_comparison",
    "performance",
    "stats",
    "trends",
    "efficiency",
    "forecast",
)


def midday(days_ago: int = 0) -> datetime:
    """A moment of a day in UTC that is not in the future."""
    now = clock.now() - timedelta(days=days_ago)
    return now if days_ago == 0 else now.replace(hour=12)


def get(api: Api, cast: Cast, path: str, **params: Any) -> dict[str, Any]:
    response = api.as_(cast.alice).get(f"/ai/usage/{path}/", params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


O3 = {"model": "o3", "generation": "new", "reasoning_effort": "high"}


class TestEveryFigure:
    @pytest.mark.parametrize("path", FIGURES)
    def test_who_may(self, api: Api, cast: Cast, path: str) -> None:
        url = f"/ai/usage/{path}/"
        assert api.get(url).status_code == 401
        writer = cast.alice.api_key("jobs:write")
        refused = api.as_(writer).get(url)
        assert (refused.status_code, refused.json()["error_code"]) == (403, "SCOPE_MISSING")
        assert api.as_(cast.bob).get(url).status_code == 200

    @pytest.mark.parametrize("path", FIGURES)
    def test_nothing_rests_on_nothing(self, api: Api, cast: Cast, path: str) -> None:
        answer = get(api, cast, path)

        assert answer["sandbox"] is True
        assert "NaN" not in str(answer)

    @pytest.mark.parametrize("path", FIGURES)
    def test_a_stranger_sees_nothing_of_it(self, api: Api, cast: Cast, path: str) -> None:
        before = api.as_(cast.charlie).get(f"/ai/usage/{path}/").content
        entry(cast, midday())

        assert api.as_(cast.charlie).get(f"/ai/usage/{path}/").content == before
        assert api.as_(cast.alice).get(f"/ai/usage/{path}/").json() != before

    @pytest.mark.parametrize("path", FIGURES)
    def test_folding_changes_no_figure(self, api: Api, cast: Cast, path: str) -> None:
        for day in range(6):
            entry(cast, midday(day), cost=1000 * day, execution_time_ms=10 + day)
            entry(cast, midday(day), outcome="timeout", is_success=False, **O3)
        before = get(api, cast, path)
        fold()

        assert get(api, cast, path) == before

    @pytest.mark.parametrize("path", FIGURES)
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("foo=1", "foo"),
            ("sandbox=perhaps", "sandbox"),
            ("brand_id=x", "brand_id"),
            ("brand_id=0", "brand_id"),
            ("brand=1&brand_id=2", "brand"),
            ("generation=old", "generation"),
        ],
    )
    def test_bad_parameters(self, api: Api, cast: Cast, path: str, query: str, field: str) -> None:
        response = api.as_(cast.alice).get(f"/ai/usage/{path}/?{query}")

        assert response.status_code == 400
        named = response.json().get("field_errors") or dict.fromkeys(response.json()["invalid_params"])
        assert list(named) == [field]

    @pytest.mark.parametrize("path", FIGURES)
    def test_a_foreign_brand_is_as_one_that_is_not_there(self, api: Api, cast: Cast, path: str) -> None:
        foreign, absent = cast.charlie.brand.pk, 10**15
        answers = [
            api.as_(cast.alice).get(f"/ai/usage/{path}/", params={"brand_id": each})
            for each in (foreign, absent)
        ]

        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(str(foreign), "#") == answers[1].text.replace(str(absent), "#")

    @pytest.mark.parametrize("path", ["dashboard", "performance", "model_comparison", "efficiency"])
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("days=0", "days"),
            ("days=367", "days"),
            ("days=x", "days"),
            ("start_date=2026-02-30", "start_date"),
            ("start_date=2026-02-02&end_date=2026-02-01", "end_date"),
            ("start_date=2024-01-01&end_date=2025-12-31", "start_date"),
            ("start_date=9999-01-01", "start_date"),
            ("start_date=2026-01-01&days=3", "days"),
        ],
    )
    def test_bad_periods(self, api: Api, cast: Cast, path: str, query: str, field: str) -> None:
        response = api.as_(cast.alice).get(f"/ai/usage/{path}/?{query}")

        assert response.status_code == 400, response.text
        assert list(response.json()["field_errors"]) == [field]

    def test_a_member_of_one_brand_sees_that_brand(self, api: Api, cast: Cast) -> None:
        other = Brand.objects.unscoped().create(company=cast.company, name="Other")
        entry(cast, midday(), cost=1000)
        entry(cast, midday(), cost=5000, brand_id=other.pk)
        Membership.objects.of(cast.company.pk).get(user=cast.bob.user).brands.set([cast.brand])

        answer = api.as_(cast.bob).get("/ai/usage/dashboard/").json()
        assert (answer["totals"]["jobs"], answer["totals"]["cost"]) == (1, "0.000001")
        assert [row["cost"] for row in answer["top_costly_jobs"]] == ["0.000001"]
        hidden = api.as_(cast.bob).get(f"/ai/usage/dashboard/?brand_id={other.pk}")
        assert hidden.status_code == 404
        assert get(api, cast, "dashboard")["totals"]["jobs"] == 2
        assert get(api, cast, "dashboard", brand_id=other.pk)["totals"]["cost"] == "0.000005"

    def test_played_and_real_figures_never_meet(self, api: Api, cast: Cast) -> None:
        entry(cast, midday(), cost=1000)
        entry(cast, midday(), cost=7000, sandbox=False)

        assert get(api, cast, "dashboard")["totals"]["cost"] == "0.000001"
        real = get(api, cast, "dashboard", sandbox="false")
        assert (real["sandbox"], real["totals"]["cost"]) == (False, "0.000007")


def narrow(api: Api, cast: Cast, path: str, **params: Any) -> tuple[Any, Any]:
    """A figure with and without the parameters."""
    return get(api, cast, path, **params), get(api, cast, path)


class TestParameters:
    """Each parameter of each figure takes what it names, and leaves the rest out."""

    @pytest.mark.parametrize(
        ("name", "value", "fields"),
        [
            ("provider", "infomaniak", {"provider": "infomaniak", "model": "mixtral"}),
            ("model", "o3", O3),
            ("generation", "new", O3),
            ("brand", None, {}),
            ("brand_id", None, {}),
            ("sandbox", "false", {"sandbox": False}),
        ],
    )
    def test_whose(self, api: Api, cast: Cast, name: str, value: Any, fields: dict[str, Any]) -> None:
        if value is None:
            other = Brand.objects.unscoped().create(company=cast.company, name="Other")
            value, fields = other.pk, {"brand_id": other.pk}
        asked = {name: value}
        nothing = {path: narrow(api, cast, path, **asked)[0] for path in FIGURES}
        for day in range(10):
            entry(cast, midday(day), cost=1_000_000, **fields)
        named = {path: narrow(api, cast, path, **asked) for path in FIGURES}
        for day in range(10):  # a token costs as much: efficiency is measured against the whole company's
            entry(cast, midday(day), cost=3_000_000, input_tokens=30, output_tokens=15)

        for path in FIGURES:
            found, whole = narrow(api, cast, path, **asked)
            assert found == named[path][0] != nothing[path], path
            assert whole != named[path][1], path

    @pytest.mark.parametrize(
        ("name", "near", "far"), [("days", 1, 5), ("start_date", 1, 5), ("end_date", 5, 1)]
    )
    def test_when(self, api: Api, cast: Cast, name: str, near: int, far: int) -> None:
        day = str(clock.now().date() - timedelta(days=3))
        asked = {name: 3 if name == "days" else day}
        paths = ("dashboard", "performance", "model_comparison", "efficiency")
        nothing = {path: narrow(api, cast, path, **asked)[0] for path in paths}
        entry(cast, midday(near), cost=1_000_000)
        named = {path: narrow(api, cast, path, **asked) for path in paths}
        entry(cast, midday(far), cost=3_000_000)

        for path in paths:
            found, whole = narrow(api, cast, path, **asked)
            assert found == named[path][0] != nothing[path], path
            assert whole != named[path][1], path


class TestDashboard:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        today = clock.now().date()
        dear = entry(cast, midday(1), cost=3_000_000, execution_time_ms=5000, **O3)
        entry(cast, midday(1), cost=1_000_000, execution_time_ms=1000)
        entry(cast, midday(), cost=0, outcome="failed", is_success=False, execution_time_ms=None)
        ratings.rate(cast.company.pk, dear.job_id, cast.alice.user.pk, 90, "")

        answer = get(api, cast, "dashboard", days=2)

        daily, top = answer.pop("daily_breakdown"), answer.pop("top_costly_jobs")
        assert answer == {
            "period": {"days": 2, "start_date": str(today - timedelta(days=1)), "end_date": str(today)},
            "sandbox": True,
            "totals": {
                "jobs": 3,
                "tokens": 45,
                "cost": "0.004000",
                "avg_cost_per_job": "0.001333",
                "avg_execution_time": 3.0,
                "unpriced_jobs": 0,
            },
            "by_provider": [
                {
                    "provider": "openai",
                    "jobs": 3,
                    "tokens": 45,
                    "cost": "0.004000",
                    "percentage": 100.0,
                    "avg_cost": "0.001333",
                }
            ],
            "by_model": [
                {"model": "o3", "provider": "openai", "jobs": 1, "cost": "0.003000", "avg_tokens": 15.0},
                {
                    "model": "gpt-4o-mini",
                    "provider": "openai",
                    "jobs": 2,
                    "cost": "0.001000",
                    "avg_tokens": 15.0,
                },
            ],
            "by_generation": [
                {
                    "generation": "new",
                    "models": ["o3"],
                    "jobs": 1,
                    "cost": "0.003000",
                    "percentage": 75.0,
                    "avg_quality": 9.0,
                },
                {
                    "generation": "legacy",
                    "models": ["gpt-4o-mini"],
                    "jobs": 2,
                    "cost": "0.001000",
                    "percentage": 25.0,
                    "avg_quality": None,
                },
            ],
            "quality_metrics": {
                "success_rate": 0.6667,
                "avg_execution_time": 3.0,
                "failed_jobs": 1,
                "timeout_jobs": 0,
                "avg_quality": 9.0,
            },
            "efficiency_insights": {
                "most_cost_effective": "gpt-4o-mini",
                "highest_roi": "o3",
                "premium_choice": "o3",
                "fastest": "gpt-4o-mini",
            },
        }
        assert daily == [
            {
                "date": str(today - timedelta(days=1)),
                "jobs": 2,
                "cost": "0.004000",
                "tokens": 30,
                "avg_execution_time": 3.0,
            },
            {
                "date": str(today),
                "jobs": 1,
                "cost": "0.000000",
                "tokens": 15,
                "avg_execution_time": None,
            },
        ]
        assert [(row["model"], row["cost"], row["tokens"]) for row in top] == [
            ("o3", "0.003000", 15),
            ("gpt-4o-mini", "0.001000", 15),
        ]
        assert top[0]["job_id"] == dear.job_ref

    def test_narrowed(self, api: Api, cast: Cast) -> None:
        entry(cast, midday(), cost=1000)
        entry(cast, midday(), cost=5000, **O3)
        entry(cast, midday(), cost=9000, provider="infomaniak", model="mixtral")

        for params, cost in (
            ({"model": "o3"}, "0.000005"),
            ({"generation": "new"}, "0.000005"),
            ({"provider": "infomaniak"}, "0.000009"),
            ({"provider": "openai"}, "0.000006"),
            ({"model": "nothing"}, "0.000000"),
        ):
            answer = get(api, cast, "dashboard", **params)
            assert answer["totals"]["cost"] == cost
            assert sum(float(row["cost"]) for row in answer["top_costly_jobs"]) == pytest.approx(
                float(cost)
            )

    def test_what_was_priced_later_is_among_the_costliest(
        self, api: Api, cast: Cast, provider: Provider
    ) -> None:
        provider(completion())
        job = world.submit(cast.alice, description="Late")
        late = entry(cast, midday(), job_id=job.pk, job_ref=job.job_ref, cost_nano_usd=None)
        entry(cast, midday(), cost=1000)
        nothing = {"input_tokens": 0, "output_tokens": 0, "kind": "adjust"}
        entry(cast, midday(), job_id=job.pk, job_ref=job.job_ref, cost=9000, **nothing)

        top = get(api, cast, "dashboard")["top_costly_jobs"]
        assert top[0] == {
            "job_id": late.job_ref,
            "cost": "0.000009",
            "tokens": 15,
            "model": "gpt-4o-mini",
            "description": "Late",
        }
        assert [row["cost"] for row in top] == ["0.000009", "0.000001"]

    def test_how_many_queries(self, cast: Cast, django_assert_max_num_queries: Any) -> None:
        from ai_usage import selectors

        with django_assert_max_num_queries(2):
            selectors.tallies(selectors.Scope(cast.company.pk, None, True, "UTC"), "day")


class TestCostBreakdown:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        moment = datetime(2026, 3, 10, 12, tzinfo=UTC)
        budget = world.make_budget(cast.company, usd="0.01")
        entry(cast, moment, cost=3_000_000, **O3)
        entry(cast, moment + timedelta(days=7), cost=1_000_000)
        entry(cast, moment + timedelta(days=40), cost=5_000_000)

        answer = get(api, cast, "cost_breakdown", month="2026-03")

        assert answer["period"] == "2026-03"
        assert (answer["total_cost"], answer["projected_monthly_cost"]) == ("0.004000", "0.004000")
        assert (answer["budget_limit"], answer["budget_used_percentage"]) == ("0.010000", 40.0)
        assert budget.limit == 10_000_000
        assert answer["by_brand"] == [
            {
                "brand_id": cast.brand.pk,
                "brand_name": cast.brand.name,
                "cost": "0.004000",
                "jobs": 2,
                "percentage": 100.0,
            }
        ]
        assert [(row["model"], row["percentage"]) for row in answer["by_model"]] == [
            ("o3", 75.0),
            ("gpt-4o-mini", 25.0),
        ]
        weeks = {week["week"]: week for week in answer["cost_trends"]}
        assert sorted(weeks) == ["2026-W09", "2026-W10", "2026-W11", "2026-W12", "2026-W13", "2026-W14"]
        assert weeks["2026-W11"] == {
            "week": "2026-W11",
            "cost": "0.003000",
            "jobs": 1,
            "avg_daily": "0.000429",
        }

    def test_without_a_budget_and_data(self, api: Api, cast: Cast) -> None:
        answer = get(api, cast, "cost_breakdown")
        names = ("budget_limit", "budget_used_percentage", "projected_monthly_cost")
        assert [answer[name] for name in names] == [None, None, None]

    def test_a_months_budget_of_just_that(self, api: Api, cast: Cast) -> None:
        world.make_budget(cast.company, usd="1")
        world.make_budget(cast.company, usd="2", scope="model", scope_value="o3")
        world.make_budget(cast.company, usd="3", scope="brand", scope_value=str(cast.brand.pk))

        limits = [
            get(api, cast, "cost_breakdown", **params)["budget_limit"]
            for params in ({}, {"model": "o3"}, {"brand": cast.brand.pk}, {"model": "gpt-4o"})
        ]
        assert limits == ["1.000000", "2.000000", "3.000000", None]

    @pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026-1", "march", "", "26-01", "0000-01"])
    def test_months_that_do_not_exist(self, api: Api, cast: Cast, month: str) -> None:
        response = api.as_(cast.alice).get(f"/ai/usage/cost_breakdown/?month={month}")
        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == ["month"]


class TestModelComparison:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        rated = entry(cast, midday(), cost=6000, execution_time_ms=4000, **O3)
        entry(cast, midday(), cost=3000, execution_time_ms=1000)
        ratings.rate(cast.company.pk, rated.job_id, cast.alice.user.pk, 95, "")

        answer = get(api, cast, "model_comparison", models="o3,gpt-4o-mini,gpt-4.1", days=7)

        assert answer["comparison_period"] == "7 days"
        assert answer["models_analyzed"] == ["o3", "gpt-4o-mini", "gpt-4.1"]
        assert [row["model"] for row in answer["metrics_comparison"]] == ["gpt-4o-mini", "o3", "gpt-4.1"]
        mini, o3, unused = answer["metrics_comparison"]
        assert o3 == {
            "model": "o3",
            "provider": "openai",
            "generation": "new",
            "jobs_count": 1,
            "avg_cost_per_job": "0.000006",
            "avg_execution_time": 4.0,
            "success_rate": 1.0,
            "quality_score": 9.5,
            # 9000 nano for 30 tokens on average, 6000 for its own 15.
            "cost_efficiency": 0.4286,
            "recommended_for": o3["recommended_for"],
            "performance_profile": {"reasoning_quality": 9.5, "speed": 2.5, "cost_effectiveness": 4.3},
        }
        assert o3["recommended_for"]
        assert (mini["cost_efficiency"], mini["performance_profile"]["speed"]) == (0.6, 10.0)
        figures = ("avg_cost_per_job", "avg_execution_time", "success_rate", "quality_score")
        assert (unused["jobs_count"], [unused[name] for name in figures]) == (0, [None] * 4)
        assert answer["recommendations"] == {
            "most_cost_effective": "gpt-4o-mini",
            "highest_quality": "o3",
            "best_balance": "gpt-4o-mini",
            "fastest": "gpt-4o-mini",
        }
        assert answer["usage_optimization"] == {
            "simple_tasks": "gpt-4o-mini",
            "reasoning_tasks": "o3",
            "complex_analysis": "o3",
            "creative_content": None,
        }
        by_quality = get(api, cast, "model_comparison", metric="quality_score")
        assert [row["model"] for row in by_quality["metrics_comparison"]] == ["o3", "gpt-4o-mini"]

    @pytest.mark.parametrize(("query", "field"), [("metric=beauty", "metric"), ("models=,", "models")])
    def test_bad_parameters(self, api: Api, cast: Cast, query: str, field: str) -> None:
        response = api.as_(cast.alice).get(f"/ai/usage/model_comparison/?{query}")
        assert (response.status_code, list(response.json()["field_errors"])) == (400, [field])


class TestPerformance:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        for milliseconds in range(10, 1010, 10):
            entry(cast, midday(1), execution_time_ms=milliseconds)
        entry(cast, midday(), outcome="timeout", is_success=False, execution_time_ms=30_000, **O3)
        entry(cast, midday(), outcome="cancelled", is_success=False, execution_time_ms=None, **O3)
        fold()

        answer = get(api, cast, "performance", days=3)

        mini = next(row for row in answer["by_model"] if row["model"] == "gpt-4o-mini")
        assert mini["p50"] == pytest.approx(0.5, rel=0.05)
        assert mini["p95"] == pytest.approx(0.95, rel=0.05)
        assert mini["p99"] == pytest.approx(0.99, rel=0.05)
        assert (mini["jobs"], mini["success_rate"], mini["avg_execution_time"]) == (100, 1.0, 0.505)
        o3 = next(row for row in answer["by_model"] if row["model"] == "o3")
        assert (o3["success_rate"], o3["timeout_rate"], o3["cancelled_jobs"]) == (0.0, 1.0, 1)
        assert o3["p50"] == pytest.approx(30, rel=0.05)
        assert [row["jobs"] for row in answer["daily"]] == [100, 2]
        assert [(row["model"], row["jobs"]) for row in answer["by_model_and_day"]] == [
            ("gpt-4o-mini", 100),
            ("o3", 2),
        ]
        assert answer["overall"]["jobs"] == 102


class TestStatsTrendsEfficiency:
    def test_stats(self, api: Api, cast: Cast) -> None:
        entry(cast, midday(), cost=3000)
        entry(cast, midday(), cost=3000)
        last_month = clock.now().replace(day=1) - timedelta(days=3)
        entry(cast, last_month, cost=2000)
        entry(cast, midday(600), cost=1000, **O3)

        answer = get(api, cast, "stats")

        assert answer["lifetime"] == {
            "total_jobs": 4,
            "total_cost": "0.000009",
            "total_tokens": 60,
            "avg_cost_per_token": "0.000000150000",
            "unpriced_jobs": 0,
        }
        assert answer["monthly"] == {
            "current_month": {"jobs": 2, "cost": "0.000006", "tokens": 30},
            "previous_month": {"jobs": 1, "cost": "0.000002", "tokens": 15},
            "growth": {"jobs_percentage": 100.0, "cost_percentage": 200.0, "tokens_percentage": 100.0},
        }
        assert answer["top_performers"] == {
            "most_efficient_model": "o3",
            "fastest_model": "gpt-4o-mini",
            "most_used_model": "gpt-4o-mini",
        }

    def test_trends(self, api: Api, cast: Cast) -> None:
        month = clock.now().replace(day=1, hour=12)
        first, second = month - timedelta(days=40), month - timedelta(days=3)
        entry(cast, first, cost=1_000_000)
        entry(cast, second, cost=1_500_000)

        answer = get(api, cast, "trends", period="month")

        assert (answer["metric"], answer["period"], len(answer["data_points"])) == ("cost", "month", 12)
        before, last, now = answer["data_points"][-3:]
        assert (before["period_label"], before["value"], before["change_percentage"]) == (
            f"{first:%Y-%m}",
            "0.001000",
            None,
        )
        assert (last["value"], last["change_percentage"], last["is_complete"]) == ("0.001500", 50.0, True)
        assert (now["value"], now["is_complete"]) == ("0.000000", False)
        assert answer["summary"] == {"trend": "increasing", "avg_growth": 50.0, "volatility": None}
        jobs = get(api, cast, "trends", period="quarter", metric="jobs")
        assert len(jobs["data_points"]) == 8
        assert sum(point["value"] for point in jobs["data_points"]) == 2

    def test_trends_without_data(self, api: Api, cast: Cast) -> None:
        summary = get(api, cast, "trends")["summary"]
        assert summary == {"trend": None, "avg_growth": None, "volatility": None}

    @pytest.mark.parametrize("query", ["period=year", "metric=love"])
    def test_bad_trends(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(f"/ai/usage/trends/?{query}")
        assert (response.status_code, list(response.json()["field_errors"])) == (
            400,
            [query.split("=", maxsplit=1)[0]],
        )

    def test_efficiency(self, api: Api, cast: Cast) -> None:
        for _ in range(20):
            entry(cast, midday(), cost=9000, **O3)
            entry(cast, midday(), cost=3000)
        entry(cast, midday(), cost=9000, outcome="failed", is_success=False, **O3)
        entry(cast, midday(), cost=9000, outcome="failed", is_success=False, **O3)

        answer = get(api, cast, "efficiency")

        assert [row["model"] for row in answer["models_comparison"]] == ["gpt-4o-mini", "o3"]
        mini, o3 = answer["models_comparison"]
        assert mini["efficiency_score"] == mini["metrics"]["cost_efficiency"]
        nothing = {"model": None, "success_rate": None, "saves_percentage": None}
        assert o3["recommendations"] == [
            {**nothing, "code": "investigate_failures", "success_rate": 0.9091},
            {**nothing, "code": "try_cheaper_model", "model": "gpt-4o-mini", "saves_percentage": 66.7},
        ]
        assert mini["recommendations"] == []
        assert answer["overall_insights"]["most_reliable"] == "gpt-4o-mini"


class TestForecast:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        today = clock.now().date()
        for day in range(1, 11):
            entry(cast, midday(day), cost=1_000_000)
        budget = world.make_budget(cast.company, usd="0.1", period="total")
        BudgetWindow.objects.create(
            budget=budget, starts_on=date(1970, 1, 1), sandbox=True, spent=10_000_000
        )

        answer = get(api, cast, "forecast")

        spent = min(10, today.day - 1) * 1_000_000
        left = ((today.replace(day=28) + timedelta(days=4)).replace(day=1) - today).days
        expected = f"{(spent + left * 1_000_000) / 1e9:.6f}"
        assert answer["company"] == {
            "month_to_date": f"{spent / 1e9:.6f}",
            "expected_month_end": expected,
            "range": {"low": expected, "high": expected},
            "daily_average": "0.001000",
            "days_of_data": 10,
        }
        assert [row["model"] for row in answer["by_model"]] == ["gpt-4o-mini"]
        assert answer["by_provider"][0]["expected_month_end"] == expected
        (told,) = [row for row in answer["budgets"] if row["id"] == budget.pk]
        assert (told["limit"], told["spent"], told["days_until_exhausted"]) == ("0.100000", "0.010000", 90)
        assert told["exhausted_on"] == str(today + timedelta(days=90))

    def test_too_few_days_tell_nothing(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="1")
        entry(cast, midday(1), cost=1_000_000)

        answer = get(api, cast, "forecast")

        assert (answer["company"]["expected_month_end"], answer["company"]["range"]) == (None, None)
        (told,) = [row for row in answer["budgets"] if row["id"] == budget.pk]
        names = ("days_until_exhausted", "exhausted_on", "will_exceed")
        assert [told[name] for name in names] == [None, None, None]

    def test_who_is_bound_to_a_brand_sees_its_budgets(self, api: Api, cast: Cast) -> None:
        world.make_budget(cast.company, usd="1")
        own = world.make_budget(cast.company, usd="3", scope="brand", scope_value=str(cast.brand.pk))
        Membership.objects.of(cast.company.pk).get(user=cast.bob.user).brands.set([cast.brand])

        answer = api.as_(cast.bob).get("/ai/usage/forecast/").json()
        assert [row["id"] for row in answer["budgets"]] == [own.pk]
