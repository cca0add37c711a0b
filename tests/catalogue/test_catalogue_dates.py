"""What depends on the day: prices that changed, models that were shut down."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from ai_providers.catalogue import loading

BOUNDARIES = [
    ("o3", date(2025, 6, 10), ("10", "40"), ("2", "8")),
    ("gpt-5.6-sol", date(2026, 8, 21), ("5", "30"), ("4", "20")),
    ("gpt-5.6-luna", date(2026, 7, 30), ("1", "6"), ("0.2", "1.2")),
]
RETIRED_ON = [
    ("o1-mini", date(2025, 10, 27)),
    ("dall-e-3", date(2026, 5, 12)),
    ("gpt-3.5-turbo", date(2026, 10, 23)),
    ("o3", date(2026, 12, 11)),
    ("gpt-4o", date(2027, 1, 14)),
]
DAY = timedelta(days=1)


def amounts(model: str, day: date) -> tuple[Decimal, Decimal]:
    price = loading.models()[model].price_at(day)
    assert price is not None
    return price.rates["input"], price.rates["output"]


def test_it_works() -> None:
    assert amounts("gpt-4o-mini", date(2026, 11, 20)) == (Decimal("0.15"), Decimal("0.6"))


@pytest.mark.parametrize(("model", "day", "before", "after"), BOUNDARIES)
def test_price_at_the_boundary(
    model: str, day: date, before: tuple[str, str], after: tuple[str, str]
) -> None:
    """The new price is in force on its first day; the old one until the day before, from ever."""
    old, new = tuple(map(Decimal, before)), tuple(map(Decimal, after))

    assert amounts(model, day - DAY) == old
    assert amounts(model, day) == new
    assert amounts(model, day + DAY) == new
    assert amounts(model, loading.BEGINNING) == old


def test_no_price_before_the_first() -> None:
    spec = loading.models()["o3"]

    assert spec.price_at(loading.BEGINNING - DAY) is None


@pytest.mark.parametrize("model", ["granite", "mistral31", "reasoning"])
def test_unpriced(model: str) -> None:
    """An unknown price is none at all, never zero."""
    assert loading.models()[model].price_at(date(2026, 11, 20)) is None


def test_a_price_of_zero_is_a_price() -> None:
    price = loading.models()["mini_lm_l12_v2"].price_at(date(2026, 11, 20))

    assert price is not None
    assert price.rates == {"input": Decimal(0)}


@pytest.mark.parametrize(("model", "day"), RETIRED_ON)
def test_retired_on_the_shutdown_day_itself(model: str, day: date) -> None:
    spec = loading.models()[model]

    assert spec.shutdown_date == day
    assert not spec.is_retired(day - DAY)
    assert spec.is_retired(day)
    assert spec.is_retired(day + DAY)


def test_never_retired_without_a_date() -> None:
    spec = loading.models()["gpt-6-luna"]

    assert spec.shutdown_date is None
    assert not spec.is_retired(date(9999, 12, 31))
