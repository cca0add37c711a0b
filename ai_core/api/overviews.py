"""Shapes of ``/ai/jobs/dashboard/`` and ``/ai/jobs/by_status/``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from ai_core import selectors
from ai_core.api.serializers import JobShape
from ai_core.domain.states import STATES
from ai_core.selectors import dashboard
from ai_core.selectors.dashboard import Period
from ai_usage.selectors import Scope, job_days
from megahub.kernel import money
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.shapes import Strict
from megahub.kernel.text import Text
from megahub.tenancy import selectors as tenancy
from megahub.tenancy.selectors import Caller

RECENT = 10


class DashboardQuery(Strict):
    """``days`` bounds everything but ``stats``; ``sandbox`` chooses which of the two books is read."""

    days = serializers.IntegerField(default=30, min_value=1, max_value=366)
    sandbox = serializers.BooleanField(default=None, allow_null=True)


class StatusQuery(Strict):
    """``status`` is required (``status_of`` says so)."""

    status = serializers.CharField(default="", allow_blank=True)
    page = serializers.CharField(required=False)
    page_size = serializers.CharField(required=False)


STATUS = OpenApiParameter("status", required=True, enum=list(STATES), description="In which status.")


class JobStats(serializers.Serializer[Any]):
    total_jobs = serializers.IntegerField()
    jobs_today = serializers.IntegerField()
    pending = serializers.IntegerField()
    running = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    timeout = serializers.IntegerField()


class DashboardPeriod(serializers.Serializer[Any]):
    days = serializers.IntegerField()
    start_date = serializers.DateField()
    end_date = serializers.DateField()


class TypeCount(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()


class DashboardDay(serializers.Serializer[Any]):
    date = serializers.DateField()
    jobs = serializers.IntegerField()
    total_cost = serializers.CharField(allow_null=True)


class DashboardBrand(serializers.Serializer[Any]):
    brand_name = serializers.CharField()
    jobs = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)


class DashboardShape(serializers.Serializer[Any]):
    """Costs are decimal strings of USD, null where a price is not known."""

    stats = JobStats()
    recent_jobs = JobShape(many=True)
    top_job_types = TypeCount(many=True)
    daily_activity = DashboardDay(many=True)
    brand_breakdown = DashboardBrand(many=True)
    period = DashboardPeriod()
    sandbox = serializers.BooleanField()


class ByStatusShape(serializers.Serializer[Any]):
    jobs = JobShape(many=True)
    count = serializers.IntegerField()


def dashboard_of(caller: Caller, days: int, sandbox: bool) -> dict[str, Any]:
    """The dashboard of the caller's brand; brands are broken down as far as they may be entered."""
    brand, entered = caller.require_brand(), tenancy.brands_of(caller)
    jobs = selectors.jobs_of(caller.company_id).filter(sandbox=sandbox, brand_id=brand)
    period = Period(days, caller.timezone)
    own, all_of_them = (
        Scope(caller.company_id, frozenset(which), sandbox, caller.timezone)
        for which in ((brand,), entered)
    )
    counted = job_days(caller.company_id)
    mine = counted.filter(own.where())
    daily = dashboard.daily(mine, own, period)
    brands = dashboard.brands(counted.filter(all_of_them.where()), all_of_them, period)
    return {
        "stats": dashboard.stats(mine, period),
        "recent_jobs": JobShape(jobs[:RECENT], many=True).data,
        "top_job_types": dashboard.top_types(mine, period),
        "daily_activity": [
            {"date": str(day["day"]), "jobs": day["jobs"], "total_cost": money.show(day["cost"])}
            for day in daily
        ],
        "brand_breakdown": [
            {"brand_name": row["name"], "jobs": row["jobs"], "cost": money.show(row["cost"])}
            for row in brands
        ],
        "period": {
            "days": period.days,
            "start_date": str(period.first),
            "end_date": str(period.last),
        },
        "sandbox": sandbox,
    }


def status_of(asked: dict[str, str]) -> str:
    """The status that was asked for. Raises ValidationFailed with the choices for none or another."""
    status = asked["status"]
    if status not in STATES:
        text = Text("Must be one of {choices}.", choices=list(STATES))
        raise ValidationFailed(field_errors={"status": [text]}, param="status", suggestions=list(STATES))
    return status
