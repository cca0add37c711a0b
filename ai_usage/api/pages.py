"""Pages of usage: by number, counted by the rollups where they know; by cursor, however deep."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.utils.functional import cached_property
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from megahub.kernel.errors import ValidationFailed
from megahub.kernel.pagination import Pages
from megahub.kernel.text import Text

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
    """``?page=``, or ``?cursor=`` (empty: from the newest on) and then whatever ``next`` says."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        self.cursor = request.query_params.get("cursor")
        if self.cursor is not None:
            return self._after(queryset, request)
        known = view.known_count()

        class Counted(NumbersFirst):
            known_count = queryset.count() if known is None else known

        self.django_paginator_class = Counted
        return super().paginate_queryset(queryset, request, view)

    def _after(self, rows: Rows, request: Request) -> list[Any]:
        for name in ("ordering", "page"):
            if name in request.query_params:
                message = Text("A cursor goes from the newest to the oldest by itself.")
                raise ValidationFailed(field_errors={name: [message]}, param=name)
        size = self.get_page_size(request)
        if self.cursor:
            moment, number = _read(self.cursor)
            before = Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=number)
            rows = rows.filter(before, created_at__lte=moment)
        found = rows_of(rows, 0, size + 1)
        self.following = None
        if len(found) > size:
            cursor = _written(found[size - 1])
            self.following = replace_query_param(request.build_absolute_uri(), "cursor", cursor)
        return found[:size]

    def get_paginated_response(self, data: Any) -> Response:
        if self.cursor is None:
            return super().get_paginated_response(data)
        return Response({"count": None, "next": self.following, "previous": None, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        known = super().get_paginated_response_schema(schema)
        known["properties"]["count"]["nullable"] = True
        return known


def _written(row: Any) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()} {row.pk}".encode()).decode()


def _read(cursor: str) -> tuple[datetime, int]:
    try:
        moment, number = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        found = datetime.fromisoformat(moment), int(number)
        if found[0].tzinfo is None or not 0 <= found[1] < 2**63:
            raise ValueError(cursor)
    except (ValueError, binascii.Error) as error:
        message = Text("This is no cursor that a page has given.")
        raise ValidationFailed(field_errors={"cursor": [message]}, param="cursor") from error
    return found
