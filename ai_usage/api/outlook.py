"""Shapes of the forecast's answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ai_usage.api.shapes import Cash, Shape, Whole


class ForecastRange(Shape[Any]):
    low = Cash()
    high = Cash()


class ForecastLine(Shape[Any]):
    month_to_date = Cash()
    expected_month_end = Cash()
    range = ForecastRange(allow_null=True)
    daily_average = Cash()
    days_of_data = Whole()


class ForecastByProvider(ForecastLine):
    provider = serializers.CharField()


class ForecastByModel(ForecastByProvider):
    model = serializers.CharField()


class ForecastBudget(Shape[Any]):
    id = Whole()
    scope = serializers.CharField()
    scope_value = serializers.CharField()
    period = serializers.CharField()
    unit = serializers.CharField()
    limit = serializers.CharField()
    spent = serializers.CharField()
    reserved = serializers.CharField()
    days_until_exhausted = Whole(allow_null=True)
    exhausted_on = serializers.DateField(allow_null=True)
    will_exceed = serializers.BooleanField(allow_null=True)


class ForecastMethod(Shape[Any]):
    name = serializers.CharField()
    look_back_days = Whole()
    least_days = Whole()
    range = serializers.CharField()


class UsageForecast(Shape[Any]):
    month = serializers.CharField()
    month_end = serializers.DateField()
    sandbox = serializers.BooleanField()
    company = ForecastLine()
    by_provider = ForecastByProvider(many=True)
    by_model = ForecastByModel(many=True)
    budgets = ForecastBudget(many=True)
    method = ForecastMethod()
