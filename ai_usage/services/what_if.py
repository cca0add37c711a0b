"""A budget that is not there yet against the last week: whom would it have refused?

Told from the ledger at what jobs really used; reservations are estimates and would refuse a little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce

from ai_providers.catalogue import loading
from ai_usage.domain.replay import Outcome, Use, replay
from ai_usage.models import AIJobUsage, Budget
from megahub.kernel import clock

WEEK = timedelta(days=7)
COLUMNS = {"nano_usd": "total_cost_nano_usd", "tokens": "total_tokens"}
NOBODY = "–"
#: As many jobs are looked at, the week's first: whoever has more is told so, and does not wait for all.
MOST_JOBS = 100_000


def last_week(budget: Budget) -> Outcome:
    """What the budget, saved or not, would have refused in the last seven days."""
    since, zone = clock.now() - WEEK, budget.company.timezone
    if budget.is_active and budget.is_hard:
        outcome = replay(_uses(budget, zone, since), budget.limit, _spent(budget, zone, since))
    else:
        outcome = Outcome(jobs=_matching(budget).filter(created_at__gte=since)[:MOST_JOBS].count())
    outcome.is_partial = outcome.jobs >= MOST_JOBS
    return outcome


def _uses(budget: Budget, zone: str, since: datetime) -> Iterator[Use]:
    column = COLUMNS.get(budget.unit)
    names = ("created_at", "sandbox", "ai_job__created_by__username", *([column] if column else []))
    rows = _matching(budget).filter(created_at__gte=since).order_by("created_at", "pk")
    for moment, sandbox, who, *amount in rows.values_list(*names)[:MOST_JOBS].iterator(chunk_size=2000):
        window = (sandbox, clock.window_start(budget.period, moment, zone))
        yield Use(window, (amount[0] or 0) if amount else 1, who or NOBODY)


def _spent(budget: Budget, zone: str, since: datetime) -> dict[object, int]:
    """What the window that was open a week ago had used by then, and the sandbox's."""
    start = clock.window_start(budget.period, since, zone)
    begun = datetime.combine(start, time(), clock.zone(zone))
    rows = _matching(budget).filter(created_at__gte=begun, created_at__lt=since).order_by()
    if budget.unit in COLUMNS:
        sums = rows.values("sandbox").annotate(used=Coalesce(Sum(COLUMNS[budget.unit]), 0))
        return {(row["sandbox"], start): row["used"] for row in sums}
    return {(played, start): rows.filter(sandbox=played).count() for played in (False, True)}


def _matching(budget: Budget) -> QuerySet[AIJobUsage]:
    """The company's jobs that the budget counts (``domain/budgets.Subject``)."""
    value = budget.scope_value
    if budget.scope == Budget.Scope.REASONING:
        where: dict[str, Any] = {
            "model_name__in": [spec.id for spec in loading.models().values() if spec.is_reasoning]
        }
    else:
        columns = {
            Budget.Scope.BRAND: "brand_id",
            Budget.Scope.USER: "ai_job__created_by_id",
            Budget.Scope.API_KEY: "ai_job__api_key_id",
            Budget.Scope.PROVIDER: "provider_name",
            Budget.Scope.MODEL: "model_name",
        }
        where = {} if budget.scope == Budget.Scope.COMPANY else {columns[Budget.Scope(budget.scope)]: value}
    rows: QuerySet[AIJobUsage] = AIJobUsage.objects.of(budget.company_id)
    return rows.filter(ai_job__isnull=False, **where)
