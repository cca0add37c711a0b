"""Shapes of the figures' answers. Sums of money are decimal strings; null rests on no data."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


class Cash(serializers.CharField):
    """USD with 6 decimals, as a string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, **kwargs})


class Number(serializers.FloatField):
    """A figure that may rest on nothing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, **kwargs})


class Name(serializers.CharField):
    """A model's name, or null when none was measured."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, **kwargs})


Whole = serializers.IntegerField
Shape = serializers.Serializer


class UsagePeriod(Shape[Any]):
    days = Whole()
    start_date = serializers.DateField()
    end_date = serializers.DateField()


class UsageTotals(Shape[Any]):
    jobs = Whole()
    tokens = Whole()
    cost = Cash()
    avg_cost_per_job = Cash()
    avg_execution_time = Number()
    unpriced_jobs = Whole()


class UsageByProvider(Shape[Any]):
    provider = serializers.CharField()
    jobs = Whole()
    tokens = Whole()
    cost = Cash()
    percentage = Number()
    avg_cost = Cash()


class UsageByModel(Shape[Any]):
    model = serializers.CharField()
    provider = serializers.CharField()
    jobs = Whole()
    cost = Cash()
    avg_tokens = Number()


class UsageByGeneration(Shape[Any]):
    generation = serializers.CharField()
    models = serializers.ListField(child=serializers.CharField())
    jobs = Whole()
    cost = Cash()
    percentage = Number()
    avg_quality = Number()


class UsageDaily(Shape[Any]):
    date = serializers.DateField()
    jobs = Whole()
    cost = Cash()
    tokens = Whole()
    avg_execution_time = Number()


class CostlyJob(Shape[Any]):
    job_id = serializers.CharField()
    cost = Cash()
    tokens = Whole()
    model = serializers.CharField()
    description = serializers.CharField(allow_null=True)


class UsageQuality(Shape[Any]):
    success_rate = Number()
    avg_execution_time = Number()
    failed_jobs = Whole()
    timeout_jobs = Whole()
    avg_quality = Number()


class UsageInsights(Shape[Any]):
    most_cost_effective = Name()
    highest_roi = Name()
    premium_choice = Name()
    fastest = Name()


class UsageDashboard(Shape[Any]):
    period = UsagePeriod()
    sandbox = serializers.BooleanField()
    totals = UsageTotals()
    by_provider = UsageByProvider(many=True)
    by_model = UsageByModel(many=True)
    by_generation = UsageByGeneration(many=True)
    daily_breakdown = UsageDaily(many=True)
    top_costly_jobs = CostlyJob(many=True)
    quality_metrics = UsageQuality()
    efficiency_insights = UsageInsights()


class ModelShare(UsageByProvider):
    model = serializers.CharField()


class BrandShare(Shape[Any]):
    brand_id = Whole(allow_null=True)
    brand_name = serializers.CharField(allow_null=True)
    cost = Cash()
    jobs = Whole()
    percentage = Number()


class WeeklyCost(Shape[Any]):
    week = serializers.CharField()
    cost = Cash()
    jobs = Whole()
    avg_daily = Cash()


class CostBreakdown(Shape[Any]):
    period = serializers.CharField()
    sandbox = serializers.BooleanField()
    total_cost = Cash()
    unpriced_jobs = Whole()
    budget_limit = Cash()
    budget_used_percentage = Number()
    projected_monthly_cost = Cash()
    by_provider = UsageByProvider(many=True)
    by_model = ModelShare(many=True)
    by_brand = BrandShare(many=True)
    cost_trends = WeeklyCost(many=True)


class ModelProfile(Shape[Any]):
    reasoning_quality = Number()
    speed = Number()
    cost_effectiveness = Number()


class ModelMetrics(Shape[Any]):
    model = serializers.CharField()
    provider = serializers.CharField(allow_null=True)
    generation = serializers.CharField(allow_null=True)
    jobs_count = Whole()
    avg_cost_per_job = Cash()
    avg_execution_time = Number()
    success_rate = Number()
    quality_score = Number()
    cost_efficiency = Number()
    recommended_for = serializers.ListField(child=serializers.CharField())
    performance_profile = ModelProfile()


class ModelRecommendations(Shape[Any]):
    most_cost_effective = Name()
    highest_quality = Name()
    best_balance = Name()
    fastest = Name()


class UsageOptimization(Shape[Any]):
    simple_tasks = Name()
    reasoning_tasks = Name()
    complex_analysis = Name()
    creative_content = Name()


class ModelComparison(Shape[Any]):
    comparison_period = serializers.CharField()
    sandbox = serializers.BooleanField()
    models_analyzed = serializers.ListField(child=serializers.CharField())
    metric = serializers.CharField()
    metrics_comparison = ModelMetrics(many=True)
    recommendations = ModelRecommendations()
    usage_optimization = UsageOptimization()


class PerformanceFigures(Shape[Any]):
    """Times in seconds; quantiles are true to within 2.5 %."""

    jobs = Whole()
    success_rate = Number()
    failure_rate = Number()
    timeout_rate = Number()
    cancelled_jobs = Whole()
    avg_execution_time = Number()
    p50 = Number()
    p95 = Number()
    p99 = Number()


class PerformanceByModel(PerformanceFigures):
    provider = serializers.CharField()
    model = serializers.CharField()


class PerformanceByDay(PerformanceFigures):
    date = serializers.DateField()


class PerformanceByModelAndDay(PerformanceByModel):
    date = serializers.DateField()


class UsagePerformance(Shape[Any]):
    period = UsagePeriod()
    sandbox = serializers.BooleanField()
    overall = PerformanceFigures()
    by_model = PerformanceByModel(many=True)
    daily = PerformanceByDay(many=True)
    by_model_and_day = PerformanceByModelAndDay(many=True)


class LifetimeUsage(Shape[Any]):
    total_jobs = Whole()
    total_cost = Cash()
    total_tokens = Whole()
    avg_cost_per_token = serializers.CharField(allow_null=True, help_text="USD with 12 decimals.")
    unpriced_jobs = Whole()


class MonthUsage(Shape[Any]):
    jobs = Whole()
    cost = Cash()
    tokens = Whole()


class MonthGrowth(Shape[Any]):
    jobs_percentage = Number()
    cost_percentage = Number()
    tokens_percentage = Number()


class MonthlyUsage(Shape[Any]):
    current_month = MonthUsage()
    previous_month = MonthUsage()
    growth = MonthGrowth()


class LifetimeEfficiency(Shape[Any]):
    success_rate = Number()
    avg_cost_per_job = Cash()
    avg_tokens_per_job = Number()
    avg_execution_time = Number()
    avg_quality = Number()


class TopPerformers(Shape[Any]):
    most_efficient_model = Name()
    fastest_model = Name()
    most_used_model = Name()


class UsageStats(Shape[Any]):
    sandbox = serializers.BooleanField()
    lifetime = LifetimeUsage()
    monthly = MonthlyUsage()
    efficiency = LifetimeEfficiency()
    top_performers = TopPerformers()


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class TrendValue(serializers.Field[Any, Any, Any, Any]):
    """A decimal string for cost, a whole number for tokens and jobs."""

    def to_representation(self, value: Any) -> Any:
        return value


class TrendPoint(Shape[Any]):
    period_label = serializers.CharField()
    start_date = serializers.DateField()
    end_date = serializers.DateField()
    value = TrendValue()
    jobs = Whole()
    change_percentage = Number()
    is_complete = serializers.BooleanField()


class TrendSummary(Shape[Any]):
    trend = serializers.ChoiceField(choices=("increasing", "decreasing", "stable"), allow_null=True)
    avg_growth = Number()
    volatility = Number()


class UsageTrend(Shape[Any]):
    metric = serializers.CharField()
    period = serializers.CharField()
    sandbox = serializers.BooleanField()
    data_points = TrendPoint(many=True)
    summary = TrendSummary()


class EfficiencyMetrics(Shape[Any]):
    jobs = Whole()
    cost = Cash()
    avg_cost_per_job = Cash()
    avg_tokens = Number()
    avg_execution_time = Number()
    success_rate = Number()
    quality_score = Number()
    cost_efficiency = Number()


class Advice(Shape[Any]):
    code = serializers.CharField()
    model = Name(required=False)
    success_rate = Number(required=False)
    saves_percentage = Number(required=False)


class EfficientModel(Shape[Any]):
    model = serializers.CharField()
    provider = serializers.CharField()
    metrics = EfficiencyMetrics()
    efficiency_score = Number()
    recommendations = Advice(many=True)


class EfficiencyInsights(Shape[Any]):
    most_efficient_model = Name()
    most_cost_effective = Name()
    fastest = Name()
    most_reliable = Name()
    highest_quality = Name()
    unpriced_jobs = Whole()


class UsageEfficiency(Shape[Any]):
    period = UsagePeriod()
    sandbox = serializers.BooleanField()
    models_comparison = EfficientModel(many=True)
    overall_insights = EfficiencyInsights()
