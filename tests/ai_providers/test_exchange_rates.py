"""``manage.py set_exchange_rate``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ai_providers import selectors
from ai_providers.models import ExchangeRate
from megahub.kernel import cache, clock
from tests import world
from tests.world import Cast

SOURCE = "a test of the command"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    ExchangeRate.objects.filter(source=SOURCE).delete()
    cache.forget_everything()


def run(*args: str) -> str:
    out = StringIO()
    call_command("set_exchange_rate", *args, "--source", SOURCE, stdout=out)
    return out.getvalue()


def rates() -> list[tuple[Any, ...]]:
    rows = ExchangeRate.objects.filter(source=SOURCE).order_by("day")
    return list(rows.values_list("currency", "day", "usd"))


def test_it_works(cast: Cast) -> None:
    model = "swiss-ai/Apertus-v1.5-70B"
    assert world.terms(cast.company, model).rate.usd == Decimal("1.236247")

    assert run("CHF", "1.2362", "--day", "2026-11-20") == "1 CHF = 1.2362 USD (2026-11-20)\n"

    assert rates() == [("CHF", date(2026, 11, 20), Decimal("1.2362"))]
    assert selectors.rate_of("CHF", date(2026, 11, 20)).usd == Decimal("1.2362")
    assert selectors.rate_of("CHF", date(2026, 11, 19)).usd == Decimal("1.236247")


def test_today_and_small_letters() -> None:
    run("eur", "1.1")

    assert rates() == [("EUR", clock.now().date(), Decimal("1.1"))]


def test_the_same_day_again_replaces_it() -> None:
    run("EUR", "1.1", "--day", "2026-11-20")
    run("EUR", "1.2", "--day", "2026-11-20")

    assert rates() == [("EUR", date(2026, 11, 20), Decimal("1.2"))]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("FRANC", "1.2"), "three letters other than USD"),
        (("C1F", "1.2"), "three letters other than USD"),
        (("USD", "1"), "three letters other than USD"),
        (("CHF", "0"), "greater than zero"),
        (("CHF", "-1.2"), "greater than zero"),
        (("CHF", "NaN"), "greater than zero"),
        (("CHF", "Infinity"), "greater than zero"),
        (("CHF", "1,2"), "'1,2' is no number"),
        (("CHF", "1.0123456789"), "no more than 9 decimal places"),
        (("CHF", "12345678901"), "no more than 9 digits before the decimal point"),
        (("CHF", "1.2", "--day", "20.11.2026"), "'20.11.2026' is no day; write YYYY-MM-DD."),
        (("CHF", "1.2", "--day", "2026-02-30"), "'2026-02-30' is no day"),
    ],
)
def test_what_is_wrong_is_said(args: tuple[str, ...], message: str) -> None:
    # A rate that begins with a dash needs the two dashes that end the options.
    given = ("--", *args) if args[1].startswith("-") else args
    with pytest.raises(CommandError, match=message):
        call_command("set_exchange_rate", "--source", SOURCE, *given)

    assert rates() == []


def test_a_source_is_asked_for() -> None:
    with pytest.raises(CommandError, match="--source"):
        call_command("set_exchange_rate", "CHF", "1.2")
