"""Money: an integer of nano-units in the database, a Decimal in Python, never a float."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

NANO = 1_000_000_000
SIX_PLACES = Decimal("0.000001")


def to_nano(amount: Decimal) -> int:
    """Nano-units of an amount of whole units, halves away from zero."""
    return int((amount * NANO).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def from_nano(nano: int) -> Decimal:
    """The exact Decimal amount of ``nano`` nano-units."""
    return Decimal(nano).scaleb(-9)


def show(nano: int | None) -> str | None:
    """A decimal string with 6 decimals, as clients read costs; None stays None."""
    return None if nano is None else str(rounded(nano))


def exact(nano: int) -> str:
    """A decimal string with nine decimals: to the nano-unit, so that sums of them are exact."""
    sign, digits = ("-", -nano) if nano < 0 else ("", nano)
    whole, part = divmod(digits, NANO)
    return f"{sign}{whole}.{part:09d}"


def rounded(nano: int) -> Decimal:
    """The amount to 6 decimals, as it is shown."""
    return from_nano(nano).quantize(SIX_PLACES, rounding=ROUND_HALF_UP)
