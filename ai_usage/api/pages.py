"""Pages of usage: by number, counted by the rollups where they know; by cursor, however deep."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from rest_framework.request import Request

from megahub.kernel.pagination import Pages

Rows = QuerySet[Any]


class NumbersFirst(Paginator):
    """Finds a page's numbers first and its rows afterwards: what is skipped is not looked at."""

    known_count: int | None = None

    @cached_property
    def count(self) -> int:
        return len(self.object_list) if self.known_count is None else self.known_count

    def page(self, number: int | str) -> Any:
        number = self.validate_number(number)
        bottom = (number - 1) * self.per_page
        found = rows_of(self.object_list, bottom, bottom + self.per_page)  # type: ignore[arg-type]
        return Page(found, number, self)


def rows_of(rows: Rows, bottom: int, top: int) -> list[Any]:
    """A slice of ordered rows."""
    numbers = list(rows.values_list("pk", flat=True)[bottom:top])
    by_number = {row.pk: row for row in rows.order_by().filter(pk__in=numbers)}
    return [by_number[number] for number in numbers]


class UsagePages(Pages):
    """``?page=``, counted by the rollups where they know, or ``?cursor=``."""

    read = staticmethod(rows_of)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        if "cursor" not in request.query_params:
            known = view.known_count()

            class Counted(NumbersFirst):
                known_count = queryset.count() if known is None else known

            self.django_paginator_class = Counted
        return super().paginate_queryset(queryset, request, view)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        known = super().get_paginated_response_schema(schema)
        known["properties"]["count"]["nullable"] = True
        return known
