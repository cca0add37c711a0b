"""Slices of a list by cost, found by index.

A job's cost is its settlement's own or, where that had no price, its adjustment's. No index knows both, so
that such a list would sort all of a company's rows: here each is read by its own (``ledger_by_amount``,
``ledger_adjusted``) and the two are put together; what has no cost comes behind them both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, OrderBy, QuerySet

from megahub.kernel.keyset import Keyset

Rows = QuerySet[Any]
COST = "total_cost_nano_usd"
OWN, LATER = "own_cost_nano_usd", "later_cost_nano_usd"


@dataclass(frozen=True, slots=True)
class ByCost:
    """Rows that are ordered by cost and, among equals, by number.

    ``path`` leads from a row to its usage; ``cursor`` is the page's, None without one.
    """

    rows: Rows
    path: str
    dearest_first: bool
    by_number: str
    cursor: Keyset | None

    @classmethod
    def of(cls, rows: Rows, cursor: Keyset | None) -> ByCost | None:
        """None for rows in another order."""
        order = rows.query.order_by
        if len(order) != 2 or not isinstance(order[0], OrderBy):
            return None
        name, number = str(getattr(order[0].expression, "name", "")), order[1]
        if name.rpartition("__")[2] != COST or number not in ("pk", "-pk", "id", "-id"):
            return None
        return cls(rows, name.removesuffix(COST), bool(order[0].descending), str(number), cursor)

    def numbers(self, bottom: int, top: int) -> list[int]:
        """The rows' primary keys in their order."""
        parts = (self._known, self._unknown)
        first, second = parts[::-1] if self._backwards else parts
        found = first(bottom, top)
        if len(found) == top - bottom:
            return found
        passed = bottom + len(found)
        if bottom and not found:
            passed = len(first(0, bottom))
        return found + second(max(0, bottom - passed), top - passed)

    def priced(self, column: str) -> Rows:
        """The rows whose cost stands in that column, in their order, from the cursor on."""
        own, later = self.path + OWN, self.path + LATER
        known: dict[str, Any] = {f"{self.path}{column}__isnull": False}
        if self.path:
            known[f"{self.path}company"] = F("company")
        if column == LATER:
            known[f"{own}__isnull"] = True
        if self._start is not None:
            operator = "lte" if self.dearest_first is not self._backwards else "gte"
            known[f"{own if column == OWN else later}__{operator}"] = self._start
        # In the index's words: it has null last downwards, and so first upwards.
        nulls = {"nulls_last": True} if self.dearest_first else {"nulls_first": True}
        cost = OrderBy(F(self.path + column), descending=self.dearest_first, **nulls)
        return self.rows.filter(**known).order_by(cost, self.by_number)

    @property
    def _backwards(self) -> bool:
        return not self.rows.query.standard_ordering

    @property
    def _begins(self) -> bool:
        """Whether the page begins at the list's end or beginning, not behind a row."""
        return self.cursor is None or not self.cursor.position

    @property
    def _start(self) -> Any:
        """The cost of the row behind which the page begins; None where none is known."""
        return None if self._begins else self.cursor.position[0]  # type: ignore[union-attr]

    def _known(self, bottom: int, top: int) -> list[int]:
        if not self._begins and self._start is None and not self._backwards:
            return []
        later = self._pairs(LATER, 0, top)
        # As many of the own ones stand before the slice, wherever those priced later belong.
        passed = max(0, bottom - len(later))
        own = self._pairs(OWN, passed, top)
        together = sorted([*own, *later], key=self._place) if later else own
        return [number for _, number in together[bottom - passed : top - passed]]

    def _unknown(self, bottom: int, top: int) -> list[int]:
        if self._start is not None and self._backwards:
            return []
        rows = self.rows.filter(**{f"{self.path}{COST}__isnull": True}).order_by(self.by_number)
        return list(rows.values_list("pk", flat=True)[bottom:top])

    def _pairs(self, column: str, bottom: int, top: int) -> list[tuple[int, int]]:
        return list(self.priced(column).values_list(self.path + column, "pk")[bottom:top])

    def _place(self, pair: tuple[int, int]) -> tuple[int, int]:
        cost, number = pair
        down, newest = self.dearest_first, self.by_number.startswith("-")
        return (
            -cost if down is not self._backwards else cost,
            -number if newest is not self._backwards else number,
        )
