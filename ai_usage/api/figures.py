"""Dashboards and what follows from them: each asks the rollups and lets the domain tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_usage import selectors
from ai_usage.api import outlook, params, shapes
from ai_usage.domain import analytics, comparison, spending, trends
from ai_usage.models import AIJobUsage
from ai_usage.selectors import Scope
from megahub.kernel import money
from megahub.tenancy.authentication import HasScope, caller_of

NARROW = ("provider", "model", "generation")


class FiguresView(APIView):
    """Figures of the brands that the caller may enter; played or real ones, never both."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = {"GET": "usage:read"}

    @staticmethod
    def _asked(request: Request, shape: type[params.Whose]) -> tuple[Scope, dict[str, Any]]:
        asked = params.asked_of(request, shape)
        scope = selectors.scope_of(caller_of(request), asked["sandbox"], asked["brand_id"])
        return scope, asked


def narrowed(asked: dict[str, Any]) -> dict[str, Any]:
    """The asked provider, model and generation as conditions."""
    return {name: asked.get(name) for name in NARROW}


class Dashboard(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_dashboard",
        parameters=[params.Period],
        responses=shapes.UsageDashboard,
    )
    def get(self, request: Request) -> Response:
        """The last days at a glance."""
        scope, asked = self._asked(request, params.Period)
        start, end = params.period_of(asked, scope.today)
        where = narrowed(asked)
        keys = ("provider", "model", "generation")
        kinds = selectors.tallies(scope, *keys, start=start, end=end, **where)
        days = selectors.tallies(scope, "day", start=start, end=end, **where)
        told = analytics.dashboard(kinds, days, start, end)
        told["top_costly_jobs"] = [_costly(row) for row in selectors.costliest(scope, start, end, **where)]
        return Response(shapes.UsageDashboard({"sandbox": scope.sandbox, **told}).data)


def _costly(usage: AIJobUsage) -> dict[str, Any]:
    return {
        "job_id": usage.reference,
        "cost": money.show(usage.total_cost_nano_usd),
        "tokens": usage.total_tokens,
        "model": usage.model_name,
        "description": usage.ai_job.description if usage.ai_job else None,
    }


class CostBreakdown(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_cost_breakdown",
        parameters=[params.Month],
        responses=shapes.CostBreakdown,
    )
    def get(self, request: Request) -> Response:
        """A month's costs by provider, model, brand and week, beside its budget."""
        scope, asked = self._asked(request, params.Month)
        today = scope.today
        month = asked.get("month") or today.replace(day=1)
        start = month
        if month == today.replace(day=1):
            start = min(month, today - timedelta(days=spending.LOOK_BACK_DAYS))
        keys = ("day", "provider", "model", "brand_id")
        end = spending.month_end(month)
        found = selectors.tallies(scope, *keys, start=start, end=end, **narrowed(asked))
        limit = selectors.monthly_limit(scope, asked.get("brand_id"), narrowed(asked))
        told = spending.breakdown(found, month, today, limit, selectors.brand_names(scope))
        return Response(shapes.CostBreakdown({"sandbox": scope.sandbox, **told}).data)


class ModelComparison(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_model_comparison",
        parameters=[params.Comparison],
        responses=shapes.ModelComparison,
    )
    def get(self, request: Request) -> Response:
        """Models side by side, measured on the company's own jobs."""
        scope, asked = self._asked(request, params.Comparison)
        start, end = params.period_of(asked, scope.today)
        keys = ("provider", "model", "generation")
        found = selectors.tallies(scope, *keys, start=start, end=end)
        average = analytics.average_nano_per_token(found)
        wanted = asked.get("models")
        chosen = [
            tally
            for tally in found
            if all(tally.keys[name] == value for name, value in narrowed(asked).items() if value)
        ]
        chosen = selectors.in_order(chosen, wanted)
        lines = comparison.lines(chosen, selectors.known_models(), average)
        told = comparison.comparison(lines, asked["metric"], (end - start).days + 1)
        return Response(shapes.ModelComparison({"sandbox": scope.sandbox, **told}).data)


class Performance(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_performance",
        parameters=[params.Period],
        responses=shapes.UsagePerformance,
    )
    def get(self, request: Request) -> Response:
        """Execution times and rates, by model and day."""
        scope, asked = self._asked(request, params.Period)
        start, end = params.period_of(asked, scope.today)
        where = narrowed(asked)
        keys = ("day", "provider", "model")
        found = selectors.tallies(scope, *keys, start=start, end=end, **where)
        timed = selectors.histograms(scope, start, end, **where)
        told = trends.performance(found, timed, start, end)
        return Response(shapes.UsagePerformance({"sandbox": scope.sandbox, **told}).data)


class Stats(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_stats",
        parameters=[params.Filtered],
        responses=shapes.UsageStats,
    )
    def get(self, request: Request) -> Response:
        """Everything so far, and this month beside the last one."""
        scope, asked = self._asked(request, params.Filtered)
        where = narrowed(asked)
        month = scope.today.replace(day=1)
        before = (month - timedelta(days=1)).replace(day=1)
        kinds = selectors.tallies(scope, "provider", "model", **where)
        days = selectors.tallies(scope, "day", start=before, **where)
        told = trends.stats(
            kinds,
            analytics.total(t for t in days if t.keys["day"] >= month),
            analytics.total(t for t in days if t.keys["day"] < month),
        )
        return Response(shapes.UsageStats({"sandbox": scope.sandbox, **told}).data)


class Trends(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_trends",
        parameters=[params.Trend],
        responses=shapes.UsageTrend,
    )
    def get(self, request: Request) -> Response:
        """Cost, tokens or jobs over weeks, months or quarters."""
        scope, asked = self._asked(request, params.Trend)
        today = scope.today
        start = trends.periods(asked["period"], today)[0][1]
        days = selectors.tallies(scope, "day", start=start, end=today, **narrowed(asked))
        told = trends.trend(days, asked["period"], asked["metric"], today)
        return Response(shapes.UsageTrend({"sandbox": scope.sandbox, **told}).data)


class Efficiency(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_efficiency",
        parameters=[params.Period],
        responses=shapes.UsageEfficiency,
    )
    def get(self, request: Request) -> Response:
        """Every model that was used, the most efficient first."""
        scope, asked = self._asked(request, params.Period)
        start, end = params.period_of(asked, scope.today)
        found = selectors.tallies(scope, "provider", "model", start=start, end=end, **narrowed(asked))
        told = comparison.efficiency(found, selectors.known_models())
        told["period"] = analytics.span(start, end)
        return Response(shapes.UsageEfficiency({"sandbox": scope.sandbox, **told}).data)


class Forecast(FiguresView):
    @extend_schema(
        tags=["usage"],
        operation_id="usage_forecast",
        parameters=[params.Filtered],
        responses=outlook.UsageForecast,
    )
    def get(self, request: Request) -> Response:
        """What the month will have cost, and when budgets are used up.

        The mean of up to 28 complete days (3 at least) carried on to the month's end; the range holds
        four months of five if days are independent and alike. Null without enough days.
        """
        scope, asked = self._asked(request, params.Filtered)
        today = scope.today
        start = min(today.replace(day=1), today - timedelta(days=spending.LOOK_BACK_DAYS))
        keys = ("day", "provider", "model")
        found = selectors.tallies(scope, *keys, start=start, end=today, **narrowed(asked))
        told = spending.forecast(found, today)
        told["budgets"] = selectors.budget_outlook(scope)
        return Response(outlook.UsageForecast({"sandbox": scope.sandbox, **told}).data)
