"""From row to row through an ordered queryset, both ways: a page begins behind values, not behind a count.

A cursor is the ordering, the position (the values that the page's outermost row is ordered by) and the
direction. What may be null comes last (``filters.StrictOrderingFilter``), so null is behind every value.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.db.models import F, Field, OrderBy, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP

from megahub.kernel.errors import ValidationFailed
from megahub.kernel.text import Text

Read = Callable[[QuerySet[Any], int, int], list[Any]]
BACK = "<"


@dataclass(frozen=True, slots=True)
class Key:
    """A column that rows are ordered by, perhaps another table's (``usage__total_tokens``)."""

    name: str
    descending: bool
    nullable: bool
    field: Field[Any, Any]

    @property
    def told(self) -> str:
        return ("-" if self.descending else "") + self.name

    def of(self, row: Any) -> Any:
        """The row's value, as JSON has it."""
        value = row
        for part in self.name.split(LOOKUP_SEP):
            try:
                value = getattr(value, part, None)
            except ObjectDoesNotExist:
                return None
        return _plain(value)

    def read(self, told: Any) -> Any:
        """The value of which ``of`` tells so. Raises ValueError for what it tells of none."""
        value = self.field.to_python(told)
        if value is None and not self.nullable:
            raise ValueError("a cursor without a position")
        if isinstance(value, datetime):
            value = value.astimezone(UTC)  # not every moment that can be written is one there
        if orjson.dumps(_plain(value)) != orjson.dumps(told) or "\0" in str(told):
            raise ValueError("a position that no row has")
        return value

    def beyond(self, value: Any, *, back: bool) -> Q | None:
        """Rows strictly behind (``back``: before) the value; None: there are none."""
        if value is None:
            return Q(**{f"{self.name}__isnull": False}) if back else None
        operator = "lt" if self.descending is not back else "gt"
        strictly = Q(**{f"{self.name}__{operator}": value})
        return strictly | Q(**{f"{self.name}__isnull": True}) if self.nullable and not back else strictly

    def at(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True} if value is None else {self.name: value})


@dataclass(slots=True)
class Keyset:
    """The keys of an ordering; the cursors of the next and the previous page, "" for none.

    ``position`` holds the values behind which the page begins, in the order of the keys.
    """

    keys: list[Key]
    following: str = ""
    preceding: str = ""
    cursor: str = ""
    back: bool = False
    position: list[Any] = field(default_factory=list)

    @classmethod
    def over(cls, queryset: QuerySet[Any]) -> Keyset:
        orders = [_order(order) for order in queryset.query.order_by]
        if not {"pk", "id"} & {name for name, _ in orders}:
            orders.append(("pk", True))
        return cls([Key(name, down, *column(queryset, name)) for name, down in orders])

    def beyond(self, queryset: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """The rows from the cursor on, in its direction.

        Raises ValidationFailed for one that is not of this ordering.
        """
        self.cursor = cursor
        ordered = queryset.order_by(*(_ordered(key) for key in self.keys))
        if not cursor:
            return ordered
        try:
            names, raw, direction = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))
            if names != self._names() or len(raw) != len(self.keys) or direction not in ("", BACK):
                raise ValueError("a cursor of another ordering")
            values = [key.read(told) for key, told in zip(self.keys, raw, strict=True)]
        except (ValueError, TypeError, OverflowError, binascii.Error, ValidationError) as error:
            text = Text("Not a cursor of this list and ordering.")
            raise ValidationFailed(field_errors={"cursor": [text]}, param="cursor") from error
        self.back, self.position = direction == BACK, values
        found = ordered.filter(self._beyond(values))
        return found.reverse() if self.back else found

    def page(self, rows: QuerySet[Any], size: int, read: Read) -> list[Any]:
        """The page's rows in the list's order; whether there are more either way is known then."""
        found = read(rows, 0, size + 1)
        more = len(found) > size
        found = found[:size][::-1] if self.back else found[:size]
        if found and (more or self.back):
            self.following = self._written(found[-1], "")
        if found and (more if self.back else self.cursor):
            self.preceding = self._written(found[0], BACK)
        return found

    def _names(self) -> list[str]:
        return [key.told for key in self.keys]

    def _written(self, row: Any, direction: str) -> str:
        raw = orjson.dumps([self._names(), [key.of(row) for key in self.keys], direction])
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def _beyond(self, values: list[Any], number: int = 0) -> Q:
        """The first key bounds the scan where it is never null; those behind it decide among its equals."""
        key, value = self.keys[number], values[number]
        strictly = key.beyond(value, back=self.back)
        if number == len(self.keys) - 1:
            return strictly if strictly is not None else Q(pk__in=[])
        equal = key.at(value) & self._beyond(values, number + 1)
        if strictly is None:
            return equal
        if key.nullable:
            return strictly | equal
        operator = "lte" if key.descending is not self.back else "gte"
        return Q(**{f"{key.name}__{operator}": value}) & (strictly | equal)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else getattr(value, "pk", value)


def _ordered(key: Key) -> str | OrderBy:
    return directed(key.name, key.descending, nullable=key.nullable)


def directed(name: str, descending: bool, *, nullable: bool) -> str | OrderBy:
    """The column upwards or downwards; what may be null comes last both ways."""
    if nullable:
        return OrderBy(F(name), descending=descending, nulls_last=True)
    return f"-{name}" if descending else name


def _order(order: Any) -> tuple[str, bool]:
    """(name, whether downwards) of an entry of ``order_by``."""
    if isinstance(order, OrderBy):
        return str(getattr(order.expression, "name", "")), bool(order.descending)
    return order.removeprefix("-"), order.startswith("-")


def column(queryset: QuerySet[Any], name: str) -> tuple[bool, Field[Any, Any]]:
    """(whether it may be null, its field) of a column, of a related one's, or of what is computed."""
    if name in queryset.query.annotations:
        return True, queryset.query.annotations[name].output_field
    meta, nullable = queryset.model._meta, False
    *path, last = name.split(LOOKUP_SEP)
    for part in path:
        link = meta.get_field(part)
        # What points here from elsewhere need not be there.
        nullable = nullable or bool(link.null) or not link.concrete
        meta = link.related_model._meta
    field = meta.pk if last == "pk" else meta.get_field(last)
    if not isinstance(field, Field):
        raise FieldDoesNotExist(name)
    return nullable or field.null, field
