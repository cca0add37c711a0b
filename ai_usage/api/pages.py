"""Pages of usage: by number, counted by the rollups where they know; by cursor, however deep."""

from __future__ import annotations

from typing import Any

from django.core.paginator import EmptyPage, Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from rest_framework.request import Request

from ai_usage import selectors
from ai_usage.selectors.by_cost import ByCost
from megahub.kernel.keyset import Read
from megahub.kernel.pagination import Pages

Rows = QuerySet[Any]
#: As many rows are counted where the rollups cannot: to count more would read the company's whole ledger.
MOST_COUNTED = 10_000
#: And of jobs, which no rollup counts by all that a list asks for …
MOST_JOBS_COUNTED = 100_000
#: … and of those whose text is looked for: the texts of many more are read for each that is found.
MOST_FOUND_COUNTED = 1_000


class OnePage(Page):
    """A page that knows whether there is another one, though nobody knows how many."""

    def __init__(self, rows: list[Any], number: int, paginator: NumbersFirst) -> None:
        super().__init__(rows[: paginator.per_page], number, paginator)
        self.more = len(rows) > paginator.per_page

    def has_next(self) -> bool:
        return self.more

    def next_page_number(self) -> int:
        return self.number + 1

    def previous_page_number(self) -> int:
        return self.number - 1


class NumbersFirst(Paginator):
    """Finds a page's numbers first and its rows afterwards: what is skipped is not looked at.

    ``count`` is None where there are more than are counted: the pages go on all the same.
    """

    num_pages = 1  # asked for by HTML pages only

    def __init__(
        self, rows: Rows, per_page: int, read: Read, most: int, known_count: int | None = None
    ) -> None:
        super().__init__(rows, per_page)
        self.read, self.most, self.known_count = read, most, known_count

    @cached_property
    def count(self) -> int | None:  # type: ignore[override]
        if self.known_count is not None:
            return self.known_count
        rows: Any = self.object_list
        number = rows.order_by().values("pk")[: self.most + 1].count()
        return number if number <= self.most else None

    def page(self, number: int | str) -> OnePage:
        wanted = int(number)
        bottom = (wanted - 1) * self.per_page
        found = self.read(self.object_list, bottom, bottom + self.per_page + 1)  # type: ignore[arg-type]
        if not found and wanted > 1:
            raise EmptyPage
        return OnePage(found, wanted, self)


def rows_of(rows: Rows, numbers: list[int]) -> list[Any]:
    """The rows with these numbers in their order; one that is gone by now is left out."""
    found = {row.pk: row for row in rows.order_by().filter(pk__in=numbers)}
    return [found[number] for number in numbers if number in found]


class CostPages(Pages):
    """Pages of rows that have a cost: by it, they are found by index. Too many are not counted."""

    def django_paginator_class(  # type: ignore[override]
        self, rows: Rows, per_page: int
    ) -> Paginator:
        assert self.request is not None
        is_search = bool(self.request.query_params.get("search"))
        most = MOST_FOUND_COUNTED if is_search else MOST_JOBS_COUNTED
        return NumbersFirst(rows, per_page, self.read, most)

    def read(self, rows: Rows, bottom: int, top: int) -> list[Any]:
        by_cost = ByCost.of(rows, self.keyset)
        if by_cost is None:
            return self.read_otherwise(rows, bottom, top)
        return rows_of(rows, by_cost.numbers(bottom, top))

    def read_otherwise(self, rows: Rows, bottom: int, top: int) -> list[Any]:
        """A slice in any other order."""
        return super().read(rows, bottom, top)


class UsagePages(CostPages):
    """``?page=``, counted by the rollups where they know, or ``?cursor=``."""

    view: Any

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        self.view = view
        rows = selectors.within(queryset, view.usage_scope, view.known)
        return super().paginate_queryset(rows, request, view)

    def django_paginator_class(  # type: ignore[override]
        self, rows: Rows, per_page: int
    ) -> Paginator:
        return NumbersFirst(rows, per_page, self.read, MOST_COUNTED, self.view.known_count())

    def read_otherwise(self, rows: Rows, bottom: int, top: int) -> list[Any]:
        """Numbers first: what is skipped is not looked at."""
        return rows_of(rows, list(rows.values_list("pk", flat=True)[bottom:top]))
