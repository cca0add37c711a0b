"""Shapes of ``/ai/usage/``: usage job by job, manual entries, the explanation of a charge."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ai_usage.api.shapes import Cash, Shape, Whole
from ai_usage.domain.analytics import cost_efficiency
from ai_usage.models import AIJobUsage
from megahub.kernel import clock, money
from megahub.kernel.shapes import Strict
from megahub.kernel.text import Text

MOST_TOKENS = 10**12
MOST_USD = Decimal(1_000_000)
#: How far back work may be told of.
MOST_AGE = timedelta(days=731)


class UsageJobType(Shape[Any]):
    id = Whole()
    name = serializers.CharField()
    category = serializers.CharField()


class UsageBrand(Shape[Any]):
    id = Whole()
    name = serializers.CharField()


class UsageJob(Shape[Any]):
    """The job that used it, as usage nests it."""

    id = Whole()
    job_id = serializers.CharField()
    job_type = UsageJobType()
    status = serializers.CharField()
    brand = UsageBrand()


class UsageRow(serializers.ModelSerializer[AIJobUsage]):
    """One job's usage. ``ai_job`` is null for work done outside the hub, costs while unpriced."""

    ai_job = serializers.SerializerMethodField()
    brand = UsageBrand(allow_null=True)
    total_cost = serializers.SerializerMethodField()
    cost_input = serializers.SerializerMethodField()
    cost_output = serializers.SerializerMethodField()
    cost_per_token = serializers.SerializerMethodField()
    execution_time_seconds = serializers.SerializerMethodField()
    memory_usage_mb = serializers.SerializerMethodField()
    success_rate = serializers.SerializerMethodField()
    error_count = serializers.SerializerMethodField()
    quality_score = serializers.SerializerMethodField()
    cost_efficiency = serializers.SerializerMethodField()

    class Meta:
        model = AIJobUsage
        fields = (
            "id",
            "ai_job",
            "brand",
            "kind",
            "reference",
            "provider_name",
            "model_name",
            "generation",
            "reasoning_effort",
            "sandbox",
            "input_tokens",
            "output_tokens",
            "total_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "is_estimated",
            "cost_input",
            "cost_output",
            "total_cost",
            "cost_per_token",
            "execution_time_seconds",
            "memory_usage_mb",
            "success_rate",
            "error_count",
            "quality_score",
            "cost_efficiency",
            "created_at",
        )

    @extend_schema_field(UsageJob(allow_null=True))
    def get_ai_job(self, usage: AIJobUsage) -> dict[str, Any] | None:
        if usage.ai_job is None:
            return None
        job = usage.ai_job
        job_type = {name: getattr(job.job_type, name) for name in ("id", "name", "category")}
        brand = {"id": usage.brand.pk, "name": usage.brand.name} if usage.brand else None
        known = {"id": job.pk, "job_id": job.job_id, "job_type": job_type}
        return {**known, "status": job.status, "brand": brand}

    def get_total_cost(self, usage: AIJobUsage) -> str | None:
        return money.show(usage.total_cost_nano_usd)

    def get_cost_input(self, usage: AIJobUsage) -> str | None:
        return money.show(usage.cost_input_nano_usd)

    def get_cost_output(self, usage: AIJobUsage) -> str | None:
        return money.show(usage.cost_output_nano_usd)

    def get_cost_per_token(self, usage: AIJobUsage) -> str | None:
        """USD with 12 decimals: a token's price has few left with six."""
        if usage.total_cost_nano_usd is None or not usage.total_tokens:
            return None
        return f"{money.from_nano(usage.total_cost_nano_usd) / usage.total_tokens:.12f}"

    def get_execution_time_seconds(self, usage: AIJobUsage) -> float | None:
        return None if usage.execution_time_ms is None else usage.execution_time_ms / 1000

    def get_memory_usage_mb(self, usage: AIJobUsage) -> float | None:
        """Nothing measures it: jobs share the memory of their process."""
        return None

    def get_success_rate(self, usage: AIJobUsage) -> float:
        return 1.0 if usage.is_success else 0.0

    def get_error_count(self, usage: AIJobUsage) -> int:
        return 0 if usage.is_success else 1

    def get_quality_score(self, usage: AIJobUsage) -> float | None:
        """The mean of people's ratings, 0 to 10."""
        tenths = getattr(usage, "rated_tenths", None)
        return None if tenths is None else round(float(tenths) / 10, 2)

    def get_cost_efficiency(self, usage: AIJobUsage) -> float | None:
        """0 to 1, half for a token that costs what the company's tokens cost in the last 30 days."""
        if usage.total_cost_nano_usd is None or not usage.total_tokens:
            return None
        own = usage.total_cost_nano_usd / usage.total_tokens
        return cost_efficiency(own, self.context.get("average_nano_per_token"))


class ManualUsage(Strict):
    """The body of ``POST /ai/usage/``: work done outside the hub.

    Without ``total_cost`` it is priced by the catalogue. ``reference`` is its maker's own and taken once.
    """

    provider_name = serializers.CharField(max_length=40)
    model_name = serializers.CharField(max_length=120)
    reference = serializers.RegexField(r"^[A-Za-z0-9_.:-]+$", max_length=40, required=False)
    input_tokens = Whole(min_value=0, max_value=MOST_TOKENS)
    cached_tokens = Whole(min_value=0, max_value=MOST_TOKENS, default=0)
    output_tokens = Whole(min_value=0, max_value=MOST_TOKENS)
    reasoning_tokens = Whole(min_value=0, max_value=MOST_TOKENS, default=0)
    reasoning_effort = serializers.CharField(max_length=10, required=False, allow_null=True)
    total_cost = serializers.DecimalField(
        max_digits=16, decimal_places=9, min_value=Decimal(0), max_value=MOST_USD, required=False
    )
    cost_input = serializers.DecimalField(
        max_digits=16, decimal_places=9, min_value=Decimal(0), max_value=MOST_USD, required=False
    )
    execution_time_seconds = serializers.FloatField(
        min_value=0, max_value=31_536_000, required=False, allow_null=True
    )
    is_success = serializers.BooleanField(default=True)
    sandbox = serializers.BooleanField(required=False, allow_null=True, default=None)
    created_at = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        errors = {}
        now = clock.now()
        if not now - MOST_AGE <= attrs.setdefault("created_at", now) <= now:
            errors["created_at"] = [Text("Not in the future, and not older than two years.")]
        if attrs["cached_tokens"] > attrs["input_tokens"]:
            errors["cached_tokens"] = [Text("They are part of input_tokens.")]
        if attrs["reasoning_tokens"] > attrs["output_tokens"]:
            errors["reasoning_tokens"] = [Text("They are part of output_tokens.")]
        if "cost_input" in attrs and attrs["cost_input"] > attrs.get("total_cost", -1):
            errors["cost_input"] = [Text("It is part of total_cost.")]
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


class ExplainedLine(Shape[Any]):
    token_class = serializers.CharField()
    tokens = Whole()
    rate = serializers.CharField(allow_null=True, help_text="Per million tokens, in the price's currency.")
    amount = Cash()


class ExplainedPrice(Shape[Any]):
    since = serializers.DateField()
    currency = serializers.CharField()
    unit = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # DRF's own attribute of that name


class ExplainedRate(Shape[Any]):
    currency = serializers.CharField()
    usd = serializers.CharField()
    day = serializers.DateField()


class ExplainedEntry(Shape[Any]):
    kind = serializers.CharField()
    created_at = serializers.DateTimeField()
    cost = Cash()
    cost_input = Cash()
    charged = Cash()


class ChargeExplained(Shape[Any]):
    """How a charge came about. ``price`` is null when the row it was priced with is known no more;
    ``adds_up`` says whether the lines come to the cost that the ledger tells."""

    id = Whole()
    reference = serializers.CharField()
    model = serializers.CharField()
    provider = serializers.CharField()
    sandbox = serializers.BooleanField()
    is_estimated = serializers.BooleanField()
    lines = ExplainedLine(many=True)
    price = ExplainedPrice(allow_null=True)
    rate = ExplainedRate(allow_null=True)
    amount = Cash()
    currency = serializers.CharField(allow_null=True)
    total_cost = Cash()
    adds_up = serializers.BooleanField(allow_null=True)
    reservation = Cash()
    settlement = ExplainedEntry()
    adjustments = ExplainedEntry(many=True)
