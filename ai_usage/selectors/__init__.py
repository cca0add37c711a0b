"""Reading usage: whose figures a caller sees, tallies from the rollups, usage job by job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Avg, Exists, F, FloatField, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum

from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_usage.domain import spending
from ai_usage.domain.analytics import SUMS, Tally
from ai_usage.domain.comparison import Known
from ai_usage.models import (
    AIJobUsage,
    Budget,
    BudgetWindow,
    JobDay,
    JobRating,
    LedgerEntry,
    RollupCursor,
    UsageDay,
    UsageRollup,
)
from megahub.kernel import clock, money
from megahub.kernel.errors import BrandNotFound
from megahub.tenancy.models import Brand
from megahub.tenancy.selectors import Caller, bound_brands

COSTLIEST = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose figures: the company's, of these ``brands`` (None: of all), played or real ones."""

    company_id: int
    brands: frozenset[int] | None
    sandbox: bool
    timezone: str

    @property
    def today(self) -> date:
        """The company's own day."""
        return clock.now().astimezone(clock.zone(self.timezone)).date()

    def where(self, brand: str = "brand_id") -> Q:
        """The condition for rows with a ``sandbox`` and a brand."""
        mine = Q(sandbox=self.sandbox)
        return mine if self.brands is None else mine & Q(**{f"{brand}__in": self.brands})


def scope_of(caller: Caller, sandbox: bool | None = None, brand_id: int | None = None) -> Scope:
    """The figures that a caller may see: of all brands that they may enter, or of a named one.

    Played and real figures are never added up: without a word it is the real ones, unless the company
    can only play. Raises BrandRequired, or BrandNotFound for a brand that does not exist or may not be
    entered.
    """
    caller.require_brand()
    brands = bound_brands(caller)
    if brand_id is not None:
        known = Brand.objects.of(caller.company_id).filter(pk=brand_id).exists()
        if not known or (brands is not None and brand_id not in brands):
            raise BrandNotFound(brand_id=str(brand_id)[:40])
        brands = frozenset((brand_id,))
    played = providers.plays(caller.company_id) if sandbox is None else sandbox
    return Scope(caller.company_id, brands, played, caller.timezone)


def days_of(scope: Scope) -> QuerySet[UsageDay]:
    """The rollups of the scope with what is not folded yet."""
    return with_unfolded(UsageDay.objects.of(scope.company_id)).filter(scope.where())


def with_unfolded(days: QuerySet[UsageDay]) -> QuerySet[UsageDay]:
    """The same rows, as the planner needs them told: how little there is above the cursor.

    Its number changes nothing in the result (the view looks by itself).
    """
    folded = RollupCursor.objects.values_list("ledger_id", flat=True).first() or 0
    return days.filter(entry_id__gt=folded)


def job_days(company_id: int) -> QuerySet[JobDay]:
    """How many jobs a company has, by the rollups and what is not folded yet (cf. ``with_unfolded``)."""
    folded = RollupCursor.objects.values_list("job_entry_id", flat=True).first() or 0
    return JobDay.objects.of(company_id).filter(entry_id__gt=folded).order_by()


def tallies(
    scope: Scope, *keys: str, start: date | None = None, end: date | None = None, **wanted: Any
) -> list[Tally]:
    """Sums by ``keys`` (day, provider, model, generation, brand_id…), both days included.

    ``wanted`` holds conditions by name (``model="o3"``); those that are None do not count.
    """
    rows = days_of(scope).filter(**{name: value for name, value in wanted.items() if value is not None})
    if start is not None:
        rows = rows.filter(day__gte=start)
    if end is not None:
        rows = rows.filter(day__lte=end)
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    found = rows.values(*keys).annotate(**sums).order_by(*keys)
    return [
        Tally({key: row[key] for key in keys}, **{name: int(row[f"sum_{name}"]) for name in SUMS})
        for row in found
        if row["sum_jobs"] is not None
    ]


#: The ``entry_id`` of what is folded already (UsageDay).
OF_ROLLUPS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows of usage there are, and the days of the first and the last (None without any)."""

    jobs: int
    first: date | None
    last: date | None


def extent(scope: Scope, where: list[tuple[str, Any]]) -> Extent:
    """What the rollups, and what is not folded yet, know of the rows for which all of ``where`` holds.

    The rollups' own table is asked, in the same statement: of the view PostgreSQL reads every column.
    """
    tail = with_unfolded(UsageDay.objects.of(scope.company_id)).filter(entry_id__lt=OF_ROLLUPS)
    known = [_extents(rows, scope, where) for rows in (UsageRollup.objects.of(scope.company_id), tail)]
    found = list(known[0].union(known[1], all=True))
    return Extent(
        sum(int(jobs) for jobs, _, _ in found),
        min((first for _, first, _ in found), default=None),
        max((last for _, _, last in found), default=None),
    )


def _extents(rows: QuerySet[Any], scope: Scope, where: list[tuple[str, Any]]) -> QuerySet[Any]:
    rows = rows.filter(scope.where())
    for name, value in where:
        rows = rows.filter(**{name: value})
    whole = rows.order_by().values("company_id")
    return whole.annotate(told=Sum("jobs"), first=Min("day"), last=Max("day")).values_list(
        "told", "first", "last"
    )


def within(rows: QuerySet[AIJobUsage], scope: Scope, known: Extent) -> QuerySet[AIJobUsage]:
    """The same rows, looked for in their days only: a few among millions are not searched for in all.

    A day more on each side: the company's time zone may have been another when they were folded.
    """
    if known.first is None or known.last is None:
        return rows.none()
    start, end = moments(scope, known.first - timedelta(days=1), known.last + timedelta(days=1))
    return rows.filter(created_at__gte=start, created_at__lt=end)


def histograms(
    scope: Scope, start: date, end: date, **wanted: Any
) -> Iterable[tuple[date, str, str, dict[str, int]]]:
    """(day, provider, model, histogram of execution times) of each rollup."""
    rows = days_of(scope).filter(day__gte=start, day__lte=end)
    rows = rows.filter(**{name: value for name, value in wanted.items() if value is not None})
    return rows.values_list("day", "provider", "model", "histogram").iterator()


def moments(scope: Scope, start: date, end: date) -> tuple[datetime, datetime]:
    """When the first day begins and the last one has ended (aware UTC)."""
    zone = clock.zone(scope.timezone)
    first = datetime.combine(start, time(), zone)
    after = datetime.combine(end + timedelta(days=1), time(), zone)
    return first.astimezone(UTC), after.astimezone(UTC)


def usage_of(scope: Scope) -> QuerySet[AIJobUsage]:
    """The scope's usage, newest first, with what a row of a list shows."""
    rows = AIJobUsage.objects.of(scope.company_id).filter(scope.where())
    return rows.select_related("ai_job__job_type", "brand").order_by("-created_at", "-pk")


def rated(rows: QuerySet[AIJobUsage]) -> QuerySet[AIJobUsage]:
    """With ``rated_tenths``: the mean of people's ratings of the job, None without one."""
    own = JobRating.objects.unscoped().filter(job_id=OuterRef("ai_job_id")).values("job_id")
    mean = own.annotate(mean=Avg("score_tenths")).values("mean")
    return rows.annotate(rated_tenths=Subquery(mean, output_field=FloatField()))


def costliest(scope: Scope, start: date, end: date, **wanted: Any) -> list[AIJobUsage]:
    """The jobs that cost most in a period."""
    first, after = moments(scope, start, end)
    known = {name: value for name, value in wanted.items() if value is not None}
    entries = LedgerEntry.objects.of(scope.company_id).filter(scope.where(), cost_nano_usd__gt=0, **known)
    window = {"created_at__gte": first, "created_at__lt": after}
    dearest = F("cost_nano_usd").desc(nulls_last=True)
    own = entries.filter(kind__in=("settle", "manual"), **window).order_by(dearest)
    settled = LedgerEntry.objects.of(scope.company_id).filter(kind="settle", job_id=OuterRef("job_id"))
    late = entries.filter(Exists(settled.filter(**window)), kind="adjust").order_by(dearest)
    jobs = list(late.values_list("job_id", flat=True)[:COSTLIEST])
    found = Q(pk__in=list(own.values_list("pk", flat=True)[:COSTLIEST]))
    if jobs:
        found |= Q(ai_job_id__in=jobs)
    rows = AIJobUsage.objects.of(scope.company_id).filter(found).select_related("ai_job")
    return list(rows.order_by("-total_cost_nano_usd", "-pk")[:COSTLIEST])


def known_models() -> dict[str, Known]:
    """What the catalogue says of each model."""
    return {
        spec.id: Known(spec.provider, spec.generation, spec.is_reasoning, spec.profile.recommended_for)
        for spec in loading.models().values()
    }


def in_order(found: list[Tally], models: list[str] | None) -> list[Tally]:
    """The tallies of these models in their order, an empty one for a model without jobs; or all."""
    if models is None:
        return found
    absent = [
        Tally({"model": name, "provider": None, "generation": None})
        for name in models
        if all(tally.keys["model"] != name for tally in found)
    ]
    chosen = [tally for tally in found if tally.keys["model"] in models]
    return sorted([*chosen, *absent], key=lambda tally: models.index(tally.keys["model"]))


def brand_names(scope: Scope) -> dict[int, str]:
    """The company's brands by number."""
    return dict(Brand.objects.of(scope.company_id).values_list("pk", "name"))


def monthly_limit(scope: Scope, brand_id: int | None, where: dict[str, Any]) -> int | None:
    """The monthly budget (nano-USD) of just what is asked for; None when there is none of it."""
    asked = {name: value for name, value in where.items() if value}
    if brand_id is not None:
        asked["brand"] = str(brand_id)
    elif scope.brands is not None:
        return None
    if len(asked) > 1 or "generation" in asked:
        return None
    kind, value = next(iter(asked.items()), ("company", ""))
    budgets = Budget.objects.of(scope.company_id).filter(is_active=True, unit="nano_usd", period="month")
    found: int | None = (
        budgets.filter(scope=kind, scope_value=value).values_list("limit", flat=True).first()
    )
    return found


def budget_outlook(scope: Scope) -> list[dict[str, Any]]:
    """The budgets that the scope may see, with their present window and when it is used up.

    A budget of a user or an API key has no pace: the rollups do not know them.
    """
    today = scope.today
    whole = Scope(scope.company_id, None, scope.sandbox, scope.timezone)
    start = today - timedelta(days=spending.LOOK_BACK_DAYS)
    keys = ("day", "provider", "model", "brand_id")
    paces = tallies(whole, *keys, start=start, end=today)
    budgets = Budget.objects.of(scope.company_id).filter(is_active=True).order_by("pk")
    if scope.brands is not None:
        budgets = budgets.filter(scope="brand", scope_value__in=[str(each) for each in scope.brands])
    return [_outlook(budget, whole, paces) for budget in budgets]


def _outlook(budget: Budget, scope: Scope, paces: list[Tally]) -> dict[str, Any]:
    starts_on = clock.window_start(budget.period, clock.now(), scope.timezone)
    end = clock.window_end(budget.period, clock.now(), scope.timezone)
    last = None if end is None else end.astimezone(clock.zone(scope.timezone)).date() - timedelta(days=1)
    windows = BudgetWindow.objects.filter(budget=budget, starts_on=starts_on, sandbox=scope.sandbox)
    window = windows.first() or BudgetWindow()
    show = money.show if budget.unit == "nano_usd" else str
    own = _pace(budget, paces)
    series = spending.Series((), 0)
    if own is not None:
        series = spending.series_of(spending.daily(own, budget.unit), scope.today)
    room = budget.limit - window.used - window.held
    return {
        "id": budget.pk,
        "scope": budget.scope,
        "scope_value": budget.scope_value,
        "period": budget.period,
        "unit": budget.unit,
        "limit": show(budget.limit),
        "spent": show(window.spent),
        "reserved": show(window.held),
        **spending.exhaustion(series, room, scope.today, last),
    }


def _pace(budget: Budget, paces: list[Tally]) -> list[Tally] | None:
    """The tallies that count against a budget; None for a scope that they do not know."""
    if budget.scope == "company":
        return paces
    if budget.scope == "reasoning":
        known = known_models()
        names = {name for name, model in known.items() if model.is_reasoning}
        return [tally for tally in paces if tally.keys["model"] in names]
    key = {"brand": "brand_id", "provider": "provider", "model": "model"}.get(budget.scope)
    if key is None:
        return None
    return [tally for tally in paces if str(tally.keys[key]) == budget.scope_value]
