"""Money: nano-units in the database, decimals in Python, strings of 6 decimals for clients."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahub.kernel import money

nanos = st.integers(-(2**63), 2**63 - 1)


def test_it_works() -> None:
    assert money.to_nano(Decimal("5.67")) == 5_670_000_000
    assert money.from_nano(5_670_000_000) == Decimal("5.67")
    assert money.show(5_670_000_000) == "5.670000"


@pytest.mark.parametrize(
    ("amount", "nano"),
    [
        ("0", 0),
        ("0.000000001", 1),
        ("0.0000000004", 0),
        ("0.0000000005", 1),
        ("-0.0000000005", -1),
        ("0.0000000015", 2),
        ("100", 100_000_000_000),
        ("1E+3", 1_000_000_000_000),
    ],
)
def test_to_nano(amount: str, nano: int) -> None:
    """Halves away from zero."""
    assert money.to_nano(Decimal(amount)) == nano


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (None, None),
        (0, "0.000000"),
        (1, "0.000000"),
        (499, "0.000000"),
        (500, "0.000001"),
        (1500, "0.000002"),
        (-500, "-0.000001"),
        (450_000, "0.000450"),
        (123_456_789_000, "123.456789"),
        (100_000_000_000, "100.000000"),
        (2**63 - 1, "9223372036.854776"),
    ],
)
def test_show(nano: int | None, shown: str | None) -> None:
    """Always 6 decimals, never an exponent; nothing stays nothing."""
    assert money.show(nano) == shown


@given(nanos)
def test_nothing_is_lost(nano: int) -> None:
    amount = money.from_nano(nano)

    assert isinstance(amount, Decimal)
    assert money.to_nano(amount) == nano
    assert amount * money.NANO == nano


@given(nanos)
def test_shown_within_half_a_millionth(nano: int) -> None:
    shown = money.show(nano)

    assert shown is not None
    assert "E" not in shown
    assert len(shown.partition(".")[2]) == 6
    assert abs(Decimal(shown) - money.from_nano(nano)) <= Decimal("0.0000005")
