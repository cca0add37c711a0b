"""Shapes of ``/ai/quotas/`` and ``/ai/credentials/quota_status/``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from ai_usage.domain.quotas import Month, Quota
from megahub.kernel import money
from megahub.kernel.shapes import Strict

#: The greatest limit that its column can hold, but for the one that stands for none.
MOST_TOKENS = 10**18
MOST_USD = 10**9


class Counters(serializers.Serializer[Any]):
    """A month's limits and what counts against them; ``reserved`` is held for jobs that have not ended."""

    monthly_token_limit = serializers.IntegerField(allow_null=True)
    monthly_cost_limit = serializers.CharField(allow_null=True)
    current_tokens_used = serializers.IntegerField()
    current_cost_used = serializers.CharField()
    tokens_reserved = serializers.IntegerField()
    cost_reserved = serializers.CharField()
    tokens_remaining = serializers.IntegerField(allow_null=True)
    cost_remaining = serializers.CharField(allow_null=True)
    usage_percentage = serializers.FloatField(allow_null=True)
    is_near_limit = serializers.BooleanField()
    is_exceeded = serializers.BooleanField()


class Period(serializers.Serializer[Any]):
    start_date = serializers.DateField()
    end_date = serializers.DateField()
    days_remaining = serializers.IntegerField()
    timezone = serializers.CharField()


class Projected(serializers.Serializer[Any]):
    """Where the month will end at its pace; null on its first day."""

    monthly_tokens = serializers.IntegerField(allow_null=True)
    monthly_cost = serializers.CharField(allow_null=True)
    will_exceed_tokens = serializers.BooleanField(allow_null=True)
    will_exceed_cost = serializers.BooleanField(allow_null=True)


@extend_schema_serializer(many=False)
class QuotaStatus(serializers.Serializer[Any]):
    """``sandbox`` says whether the figures are of played jobs."""

    provider = serializers.CharField()
    company = serializers.CharField()
    sandbox = serializers.BooleanField()
    quota = Counters()
    period = Period()
    projected = Projected()


class QuotaShape(Counters):
    """A row of ``/ai/quotas/``."""

    provider = serializers.CharField()
    sandbox = serializers.BooleanField()
    last_reset_date = serializers.DateField(help_text="The day on which the month began.")


class ChangedQuota(Strict):
    """New limits: what is absent stays, null is no limit."""

    provider = serializers.CharField(max_length=40)
    monthly_token_limit = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=MOST_TOKENS
    )
    monthly_cost_limit = serializers.DecimalField(
        required=False, allow_null=True, min_value=0, max_value=MOST_USD, max_digits=19, decimal_places=9
    )

    @staticmethod
    def by_unit(given: dict[str, Any]) -> dict[str, int | None]:
        """Of validated data, the limits by unit."""
        changes: dict[str, int | None] = {}
        if "monthly_token_limit" in given:
            changes["tokens"] = given["monthly_token_limit"]
        if "monthly_cost_limit" in given:
            usd = given["monthly_cost_limit"]
            changes["nano_usd"] = None if usd is None else money.to_nano(usd)
        return changes


def counters_of(quota: Quota) -> dict[str, Any]:
    """What ``Counters`` shows of a quota."""
    tokens, cost = quota.tokens, quota.cost
    return {
        "monthly_token_limit": tokens.limit,
        "monthly_cost_limit": money.show(cost.limit),
        "current_tokens_used": tokens.used,
        "current_cost_used": money.show(cost.used),
        "tokens_reserved": tokens.reserved,
        "cost_reserved": money.show(cost.reserved),
        "tokens_remaining": tokens.remaining,
        "cost_remaining": money.show(cost.remaining),
        "usage_percentage": quota.percent,
        "is_near_limit": quota.is_near,
        "is_exceeded": quota.is_exceeded,
    }


def row_of(quota: Quota, month: Month) -> dict[str, Any]:
    """What ``QuotaShape`` shows."""
    beside = {"provider": quota.provider, "sandbox": quota.sandbox, "last_reset_date": month.starts_on}
    return {**beside, **counters_of(quota)}


def status_of(quota: Quota, month: Month, company: str, timezone: str, moment: datetime) -> dict[str, Any]:
    """What ``QuotaStatus`` shows."""
    tokens = month.project(quota.tokens.counted, moment)
    cost = month.project(quota.cost.counted, moment)
    return {
        "provider": quota.provider,
        "company": company,
        "sandbox": quota.sandbox,
        "quota": counters_of(quota),
        "period": {
            "start_date": month.starts_on,
            "end_date": month.ends_on,
            "days_remaining": month.days_remaining,
            "timezone": timezone,
        },
        "projected": {
            "monthly_tokens": tokens,
            "monthly_cost": money.show(cost),
            "will_exceed_tokens": quota.tokens.will_exceed(tokens),
            "will_exceed_cost": quota.cost.will_exceed(cost),
        },
    }
