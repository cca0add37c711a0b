"""Pricing later what was unpriced: once per job, true to the nano-dollar, budgets corrected."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from ai_core import pipeline
from ai_core.models import AIJob
from ai_providers.models import AIModel, ExchangeRate
from ai_usage.models import AIJobUsage, BudgetWindow, LedgerEntry
from ai_usage.services import repricing
from megahub.kernel import cache, clock, loop
from megahub.tenancy.models import Company
from tests import world
from tests.ai_batch.test_verify_ledger import ended_batch, off
from tests.conftest import Api
from tests.stubs import Scripted
from tests.world import Cast

#: Unpriced models of the catalogue; only this file prices them.
MODEL, OTHER = "mixtral", "mixtral8x22b"
Provider = Callable[..., Scripted]


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    forget_prices()
    yield
    forget_prices()


def forget_prices() -> None:
    AIModel.objects.filter(model_id__in=(MODEL, OTHER)).delete()
    ExchangeRate.objects.filter(source="a test").delete()
    cache.forget_everything()


def run(cast: Cast, model: str = MODEL, **fields: Any) -> LedgerEntry:
    """A finished job of an unpriced model: its settlement."""
    job = world.submit(cast.alice, model=model, **fields)
    loop.run(pipeline.run(job))
    (entry,) = world.ledger(job.pk)
    assert (entry.kind, entry.cost_nano_usd) == ("settle", None)
    assert entry.charged_nano_usd > 0
    return entry


def test_a_batchs_line_lands_in_its_windows(
    api: Api, cast: Cast, provider: Provider, rung: list[Any]
) -> None:
    """By what its batch counts against; verify_ledger finds every nano-dollar."""
    budget = world.make_budget(cast.company, "5")
    batch = ended_batch(api, cast, model=MODEL)
    assert batch.status == "completed"
    (entry,) = LedgerEntry.objects.of(cast.company.pk)
    assert (entry.kind, entry.cost_nano_usd) == ("settle", None)
    window = world.window(budget)
    assert window is not None
    assert window.spent == entry.charged_nano_usd > 0
    price()
    cache.forget_everything()

    assert line_of(repricing.price_unpriced()).jobs >= 1  # other tests' companies have such lines too

    adjusted = LedgerEntry.objects.of(cast.company.pk).get(kind="adjust")
    window.refresh_from_db()
    assert window.spent == entry.charged_nano_usd + adjusted.charged_nano_usd == adjusted.cost_nano_usd
    assert off(cast) == []


def price(model: str = MODEL, **fields: Any) -> None:
    prices = {"input_price": Decimal(1), "output_price": Decimal(2), "price_since": clock.now().date()}
    AIModel.objects.create(model_id=model, **{**prices, **fields})


def line_of(lines: list[repricing.Line], model: str = MODEL) -> repricing.Line:
    return next(line for line in lines if line.model == model)


def spent(budget: Any) -> int:
    window = world.window(budget)
    assert window is not None
    return window.spent


def command() -> str:
    out = StringIO()
    call_command("price_unpriced", stdout=out)
    return out.getvalue()


def test_it_works(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    tokens = world.make_budget(cast.company, limit=10**6, unit="tokens")
    entry = run(cast)
    counted = spent(tokens)
    assert spent(budget) == entry.charged_nano_usd
    price()

    repricing.price_unpriced()

    settlement, adjustment = world.ledger(entry.job_id)
    # 1 USD per million tokens in, 2 out.
    cost = entry.input_tokens * 1000 + entry.output_tokens * 2000
    assert settlement.cost_nano_usd is None  # the ledger is appended to, never changed
    facts = {
        name: getattr(adjustment, name)
        for name in (
            "kind",
            "company_id",
            "brand_id",
            "job_ref",
            "provider",
            "model",
            "sandbox",
            "generation",
        )
    }
    assert facts == {
        "kind": "adjust",
        "company_id": cast.company.pk,
        "brand_id": cast.brand.pk,
        "job_ref": entry.job_ref,
        "provider": "infomaniak",
        "model": MODEL,
        "sandbox": True,
        "generation": entry.generation,
    }
    assert adjustment.cost_nano_usd == adjustment.amount_nano == cost
    assert adjustment.cost_input_nano_usd == entry.input_tokens * 1000
    assert adjustment.charged_nano_usd == cost - entry.charged_nano_usd
    assert (adjustment.currency, adjustment.rate_usd, adjustment.price_since) == (
        "USD", Decimal(1), clock.now().date(),
    )  # fmt: skip
    assert [getattr(adjustment, name) for name in repricing.TOKENS] == [0, 0, 0, 0, 0]
    assert spent(budget) == cost
    assert spent(tokens) == counted


def test_the_usage_shows_the_cost_by_itself(cast: Cast) -> None:
    entry = run(cast)
    usage = AIJobUsage.objects.of(cast.company.pk).get(ai_job_id=entry.job_id)
    assert (usage.total_cost_nano_usd, usage.cost_input_nano_usd) == (None, None)
    price()

    repricing.price_unpriced()

    usage = AIJobUsage.objects.of(cast.company.pk).get(ai_job_id=entry.job_id)
    assert usage.cost_input_nano_usd == entry.input_tokens * 1000
    assert usage.cost_output_nano_usd == entry.output_tokens * 2000
    assert usage.total_cost_nano_usd == entry.input_tokens * 1000 + entry.output_tokens * 2000


def test_a_dearer_price_is_charged_as_well(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    entry = run(cast)
    price(input_price=Decimal(5000), output_price=Decimal(0))

    repricing.price_unpriced()

    assert world.ledger(entry.job_id)[1].charged_nano_usd > 0
    assert spent(budget) == entry.input_tokens * 5_000_000


def test_a_free_model_leaves_nothing_spent(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    entry = run(cast)
    price(input_price=Decimal(0), output_price=Decimal(0))

    repricing.price_unpriced()

    assert world.ledger(entry.job_id)[1].cost_nano_usd == 0
    assert spent(budget) == 0


def test_spent_never_falls_below_zero(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    run(cast)
    BudgetWindow.objects.filter(budget=budget).update(spent=1)
    price(input_price=Decimal(0), output_price=Decimal(0))

    repricing.price_unpriced()

    assert spent(budget) == 0


def test_all_windows_that_were_held_are_corrected(cast: Cast) -> None:
    budgets = [
        world.make_budget(cast.company, usd="5"),
        world.make_budget(cast.company, usd="5", period="day"),
        world.make_budget(cast.company, usd="5", scope="brand", scope_value=str(cast.brand.pk)),
    ]
    foreign = world.make_budget(cast.company, usd="5", scope="model", scope_value="gpt-4o")
    entry = run(cast)
    later = world.make_budget(cast.company, usd="5", scope="user", scope_value=str(cast.alice.user.pk))
    price()

    repricing.price_unpriced()

    cost = entry.input_tokens * 1000 + entry.output_tokens * 2000
    assert [spent(budget) for budget in budgets] == [cost, cost, cost]
    assert world.window(foreign) is None
    assert world.window(later) is None


def test_again_changes_nothing(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    entry = run(cast)
    price()
    repricing.price_unpriced()
    before = (spent(budget), len(world.ledger(entry.job_id)))

    assert MODEL not in {line.model for line in repricing.price_unpriced()}
    assert (spent(budget), len(world.ledger(entry.job_id))) == before


def test_two_at_once_adjust_once(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    entries = [run(cast) for _ in range(5)]
    price()
    start, found = threading.Barrier(4), []

    def work() -> None:
        start.wait(timeout=10)
        try:
            found.append(line_of([*repricing.price_unpriced(), repricing.Line(MODEL)]).jobs)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert len(found) == 4
    adjustments = LedgerEntry.objects.of(cast.company.pk).filter(kind="adjust")
    assert sorted(a.job_id for a in adjustments) == sorted(e.job_id for e in entries)
    assert spent(budget) == sum(e.input_tokens * 1000 + e.output_tokens * 2000 for e in entries)


def test_the_day_is_the_one_on_which_the_job_ended_in_utc(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an hour before midnight in UTC; in Zurich the next day has begun."""
    Company.objects.filter(pk=cast.company.pk).update(timezone="Europe/Zurich")
    late = clock.now().replace(hour=23, minute=30) - timedelta(days=3)
    rates = {shift: Decimal(f"1.{5 + shift}") for shift in (-1, 0, 1)}
    for shift, usd in rates.items():
        day = late.date() + timedelta(days=shift)
        ExchangeRate.objects.update_or_create(
            currency="CHF", day=day, defaults={"usd": usd, "source": "a test"}
        )
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: late)
        entry = run(cast)
    assert entry.created_at == late
    price(currency="CHF", price_since=late.date())
    (shown,) = [row for row in repricing.overview() if row.model == MODEL]
    assert shown.is_known

    repricing.price_unpriced()

    adjustment = world.ledger(entry.job_id)[1]
    assert (adjustment.rate_day, adjustment.rate_usd) == (late.date(), rates[0])
    assert adjustment.price_since == late.date()
    nano = entry.input_tokens * 1000 + entry.output_tokens * 2000
    assert (adjustment.amount_nano, adjustment.cost_nano_usd) == (nano, round(nano * rates[0]))


def test_usage_before_the_price_stays_unpriced(cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="5")
    entry = run(cast)
    price(price_since=clock.now().date() + timedelta(days=1))

    line = line_of(repricing.price_unpriced())

    assert (line.jobs, line.left >= 1) == (0, True)
    assert len(world.ledger(entry.job_id)) == 1
    assert spent(budget) == entry.charged_nano_usd


def test_a_price_without_a_rate_waits_for_it(cast: Cast) -> None:
    entry = run(cast)
    price(currency="EUR")
    repricing.price_unpriced()
    assert len(world.ledger(entry.job_id)) == 1

    day = clock.now().date()
    ExchangeRate.objects.create(currency="EUR", day=day, usd=Decimal("1.25"), source="a test")
    repricing.price_unpriced()

    _, adjustment = world.ledger(entry.job_id)
    amount = entry.input_tokens * 1000 + entry.output_tokens * 2000
    assert (adjustment.currency, adjustment.amount_nano) == ("EUR", amount)
    assert (adjustment.rate_usd, adjustment.rate_day) == (Decimal("1.25"), day)
    assert adjustment.cost_nano_usd == amount * 5 // 4


def test_a_model_that_left_the_catalogue_stays_unpriced(cast: Cast) -> None:
    entry = run(cast)
    fields = {name: getattr(entry, name) for name in repricing.SAME}
    gone = LedgerEntry.objects.unscoped().create(
        kind="settle", **{**fields, "model": "gone-1", "job_id": -entry.job_id, "job_ref": "gone"}
    )

    assert line_of(repricing.price_unpriced(), "gone-1").left == 1
    assert world.ledger(gone.job_id) == [gone]


def test_without_its_job_the_ledger_is_adjusted_all_the_same(cast: Cast) -> None:
    entry = run(cast)
    fields = {name: getattr(entry, name) for name in repricing.SAME}
    job_id = -entry.job_id
    LedgerEntry.objects.unscoped().create(
        kind="settle", **{**fields, "job_id": job_id, "job_ref": "purged"},
        input_tokens=10, cost_nano_usd=None, charged_nano_usd=7,
    )  # fmt: skip
    price()

    repricing.price_unpriced()

    assert [e.charged_nano_usd for e in world.ledger(job_id)] == [7, 10_000 - 7]


def test_priced_and_void_entries_are_left_alone(cast: Cast, rung: Any) -> None:
    priced = world.submit(cast.alice)
    loop.run(pipeline.run(priced))
    void = world.submit(cast.alice, model=MODEL, later=True)
    loop.run(pipeline.cancel(void.pk, cast.company.pk))
    price()

    repricing.price_unpriced()

    assert [entry.kind for entry in world.ledger(priced.pk)] == ["settle"]
    assert [entry.kind for entry in world.ledger(void.pk)] == ["void"]


def test_the_command_reports_what_it_did(cast: Cast) -> None:
    command()  # what other tests may have left
    entries = [run(cast), run(cast)]
    left = run(cast, OTHER)
    price()
    before = sum(entry.charged_nano_usd for entry in entries)
    after = sum(entry.input_tokens * 1000 + entry.output_tokens * 2000 for entry in entries)

    lines = command().splitlines()

    def shown(nano: int) -> str:
        return f"{Decimal(nano).scaleb(-9):.6f}"

    assert f"{MODEL}: 2 jobs, {shown(before)} -> {shown(after)} USD ({shown(after - before)})" in lines
    assert any(line.startswith(f"{OTHER}: 0 jobs, ") and "left without a price" in line for line in lines)
    assert lines[-1].startswith("2 jobs priced, ")
    assert AIJob.objects.of(cast.company.pk).filter(pk=left.job_id).exists()


def test_the_overview_counts_by_model(cast: Cast) -> None:
    command()
    entry = run(cast, OTHER)

    found = next(row for row in repricing.overview() if row.model == OTHER)

    assert (found.provider, found.is_known) == ("infomaniak", False)
    assert found.first <= entry.created_at <= found.last
    price(OTHER)
    assert next(row for row in repricing.overview() if row.model == OTHER).is_known is True
