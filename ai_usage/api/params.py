"""Query parameters of the figures: checked as strictly as bodies are."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from megahub.kernel.shapes import StrictQuery
from megahub.kernel.text import Text

MOST_DAYS = 366
GENERATIONS = ("new", "legacy")


class Whose(StrictQuery):
    """Which of the company's figures."""

    brand_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    brand = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    sandbox = serializers.BooleanField(required=False, allow_null=True, default=None)

    def to_internal_value(self, data: Any) -> Any:
        found = super().to_internal_value(data)
        brand, brand_id = found.pop("brand", None), found.pop("brand_id", None)
        if brand and brand_id and brand != brand_id:
            raise serializers.ValidationError({"brand": [Text("Contradicts brand_id.")]})
        found["brand_id"] = brand_id or brand
        return found


class Filtered(Whose):
    """Figures of one provider, model or generation."""

    provider = serializers.CharField(required=False, max_length=40)
    model = serializers.CharField(required=False, max_length=120)
    generation = serializers.ChoiceField(required=False, choices=GENERATIONS)


class Period(Filtered):
    """The last ``days``, or the days from ``start_date`` to ``end_date``, both in it."""

    days = serializers.IntegerField(required=False, min_value=1, max_value=MOST_DAYS)
    start_date = serializers.DateField(required=False)
    end_date = serializers.DateField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start_date"), attrs.get("end_date")
        if start and "days" in attrs:
            raise serializers.ValidationError({"days": [Text("Give days or start_date, not both.")]})
        if start and end and end < start:
            raise serializers.ValidationError({"end_date": [Text("Must not be before start_date.")]})
        return attrs


def period_of(asked: dict[str, Any], today: date, days: int = 30) -> tuple[date, date]:
    """The days that were asked for. Raises ValidationError for more than MOST_DAYS of them."""
    end = asked.get("end_date") or today
    start = asked.get("start_date")
    if start is None:
        before = timedelta(days=asked.get("days", days) - 1)
        start = date.min if end - date.min < before else end - before
    elif end < start:
        raise serializers.ValidationError({"start_date": [Text("Must not be after end_date.")]})
    if (end - start).days >= MOST_DAYS:
        message = Text("At most {limit} days.", limit=MOST_DAYS)
        raise serializers.ValidationError({"start_date": [message]})
    return start, end


class MonthField(serializers.CharField):
    """``YYYY-MM`` as its first day."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or not "1970" <= text[:4] < "9999":
            raise serializers.ValidationError(Text("A month as YYYY-MM."))
        return date.fromisoformat(f"{text}-01")


class Month(Filtered):
    month = MonthField(required=False)


class Comparison(Period):
    """Models separated by commas; the metric by which they are ordered."""

    METRICS = (
        "cost_efficiency",
        "quality_score",
        "success_rate",
        "jobs_count",
        "avg_cost_per_job",
        "avg_execution_time",
    )
    models = serializers.CharField(required=False, max_length=2000)
    metric = serializers.ChoiceField(required=False, choices=METRICS, default="cost_efficiency")

    def validate_models(self, text: str) -> list[str]:
        found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not found:
            raise serializers.ValidationError(Text("Name at least one model."))
        return found


class Trend(Filtered):
    period = serializers.ChoiceField(required=False, choices=("week", "month", "quarter"), default="month")
    metric = serializers.ChoiceField(required=False, choices=("cost", "tokens", "jobs"), default="cost")


def asked_of(request: Request, shape: type[StrictQuery]) -> dict[str, Any]:
    """The checked parameters of a request."""
    params = shape(data=request.query_params.dict())
    params.is_valid(raise_exception=True)
    return dict(params.validated_data)
