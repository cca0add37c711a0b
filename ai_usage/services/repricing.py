"""Pricing later what was used while its model had no price.

A settlement without a cost was charged a pessimistic amount. Once a price is known for its day, one
``adjust`` entry says the true cost, and the windows that the job counted against are corrected by the
difference, in one transaction per job. Whoever comes second (a unique constraint says so) changes
nothing.

Its day is the one on which the job ended (the settlement's ``created_at``), in UTC as providers bill,
whatever the company's time zone: the price in force and the exchange rate are both that day's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, F, Max, Min, OuterRef, QuerySet, Sum
from django.db.models.functions import Greatest
from django.utils.module_loading import import_string

from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_providers.domain import pricing
from ai_providers.domain.pricing import Cost, Rate
from ai_providers.domain.spec import Price
from ai_providers.domain.wire import Usage
from ai_usage.models import AIJobUsage, BudgetWindow, LedgerEntry
from megahub.kernel import clock
from megahub.kernel.errors import ServerError

BATCH = 500
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
#: What an adjustment says like the settlement it corrects.
SAME = (
    "company_id",
    "brand_id",
    "job_id",
    "job_ref",
    "attempt_no",
    "provider",
    "model",
    "generation",
    "reasoning_effort",
    "sandbox",
    "outcome",
    "is_success",
    "is_estimated",
)


@dataclass(slots=True)
class Line:
    """A model's jobs that were priced: how many, what they had been charged, what they cost (nano-USD).

    ``left`` are those that stay unpriced: nothing is known for their day.
    """

    model: str
    jobs: int = 0
    before_nano_usd: int = 0
    after_nano_usd: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A model that was used and has no price: ``is_known`` by now for its first day."""

    provider: str
    model: str
    jobs: int
    tokens: int
    charged_nano_usd: int
    first: datetime
    last: datetime
    is_known: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What is corrected with an entry: windows of money ``(budget, first day)``; at which rates it was."""

    windows: list[tuple[int, str]]
    is_batch: bool = False


#: Who knows that of entries that are no job's, by name: they stand above this.
OTHERS = "ai_batch.services.repriced.held_by"


def unpriced() -> QuerySet[LedgerEntry]:
    """The settlements without a cost that no adjustment has priced."""
    adjusted = LedgerEntry.objects.unscoped().filter(job_id=OuterRef("job_id"), kind="adjust")
    rows: QuerySet[LedgerEntry] = LedgerEntry.objects.unscoped().filter(kind="settle", cost_nano_usd=None)
    return rows.filter(~Exists(adjusted))


def overview() -> list[Unpriced]:
    """The models of ``unpriced``, the one that was charged most first."""
    tokens: Any = F(TOKENS[0])
    for name in TOKENS[1:]:
        tokens = tokens + F(name)
    rows = (
        unpriced()
        .values("provider", "model")
        .annotate(
            jobs=Count("pk"),
            tokens=Sum(tokens),
            charged_nano_usd=Sum("charged_nano_usd"),
            first=Min("created_at"),
            last=Max("created_at"),
        )
        .order_by("-charged_nano_usd", "model")
    )
    return [Unpriced(**row, is_known=_terms(row["model"], row["first"].date()) is not None) for row in rows]


def price_unpriced() -> list[Line]:
    """Price what can be priced; a line per model, by name. Repeatable."""
    terms = cache(_terms)
    lines: dict[str, Line] = {}
    for entry, held in _entries():
        line = lines.setdefault(entry.model, Line(entry.model))
        found = terms(entry.model, entry.created_at.date())
        if found is None:
            line.left += 1
            continue
        cost = pricing.cost(found[0], usage_of(entry), found[1], batch=held.is_batch)
        if _adjust(entry, held, cost):
            line.jobs += 1
            line.before_nano_usd += entry.charged_nano_usd
            line.after_nano_usd += cost.usd_nano
    return [lines[model] for model in sorted(lines)]


def _terms(model: str, day: date) -> tuple[Price, Rate] | None:
    """The price of a model on a day (UTC) and its currency's rate of then; None while either is unknown."""
    spec = loading.models().get(model)
    if spec is None:
        return None
    try:
        price, priced = providers.price_of(spec, day)
        return (price, providers.rate_of(price.currency, day)) if priced else None
    except ServerError:
        return None


def _entries() -> Iterator[tuple[LedgerEntry, Held]]:
    """``unpriced``, oldest first, each with what its job, or its batch's line, held of budget windows."""
    last = 0
    others = import_string(OTHERS)
    while batch := list(unpriced().filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = batch[-1].pk
        jobs = AIJobUsage.objects.unscoped().filter(ai_job_id__in=[entry.job_id for entry in batch])
        holds = dict(jobs.values_list("ai_job_id", "ai_job__holds"))
        held = {number: Held(_of_money(stored)) for number, stored in holds.items()}
        held |= others([entry.job_id for entry in batch if entry.job_id < 0])
        yield from ((entry, held.get(entry.job_id, Held([]))) for entry in batch)


def _of_money(holds: list[list[Any]] | None) -> list[tuple[int, str]]:
    return [(budget, start) for budget, start, _, unit in holds or [] if unit == "nano_usd"]


def usage_of(entry: LedgerEntry) -> Usage:
    """The counted tokens of an entry."""
    counted = {name.removesuffix("_tokens"): getattr(entry, name) for name in TOKENS}
    return Usage(**counted, estimated=entry.is_estimated)


def _adjust(entry: LedgerEntry, held: Held, cost: Cost) -> bool:
    """Append the adjustment and correct the windows; False when somebody else already has."""
    difference = cost.usd_nano - entry.charged_nano_usd
    try:
        with transaction.atomic():
            LedgerEntry.objects.unscoped().create(
                kind="adjust",
                **{name: getattr(entry, name) for name in SAME},
                currency=cost.currency,
                amount_nano=cost.nano,
                rate_usd=cost.rate.usd,
                rate_day=cost.rate.day,
                price_since=cost.price_since,
                cost_nano_usd=cost.usd_nano,
                cost_input_nano_usd=cost.input_usd_nano,
                charged_nano_usd=difference,
                created_at=clock.now(),
            )
            _correct(held.windows, entry.sandbox, difference)
    except IntegrityError:
        if unpriced().filter(pk=entry.pk).exists():
            raise
        return False
    return True


def _correct(windows: list[tuple[int, str]], sandbox: bool, difference: int) -> None:
    """Add the difference to what the windows have spent, in their one order."""
    for budget_id, starts_on in sorted(windows):
        rows = BudgetWindow.objects.filter(budget_id=budget_id, starts_on=starts_on, sandbox=sandbox)
        rows.update(spent=Greatest(F("spent") + difference, 0))
