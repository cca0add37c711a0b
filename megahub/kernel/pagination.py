"""Pages of 25 (100 at most): ``{count, next, previous, results}``.

``?cursor=`` (empty for the first page, then whatever ``next`` or ``previous`` carries) goes from row to
row instead of counting (``keyset.py``): its pages cost the same however deep they are, nothing is skipped
or seen twice while rows are added, and ``count`` is null.
"""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from rest_framework import exceptions
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from megahub.kernel.errors import NotFound, ValidationFailed
from megahub.kernel.keyset import Keyset, Read
from megahub.kernel.text import Text

#: A longer number of a page is no page's, and Python reads no number of thousands of digits.
MAX_DIGITS = 9


def is_number(raw: str) -> bool:
    """Whether a query parameter is a whole number that can be read."""
    return raw.isdecimal() and len(raw) <= MAX_DIGITS


class Slices(Paginator):  # type: ignore[type-arg]
    """Django's pages, read in the list's own way; ``known_count`` spares counting the rows."""

    def __init__(
        self, rows: QuerySet[Any], per_page: int, read: Read, known_count: int | None = None
    ) -> None:
        super().__init__(rows, per_page)
        self.read, self.known_count = read, known_count

    @cached_property
    def count(self) -> int:
        return super().count if self.known_count is None else self.known_count

    def page(self, number: int | str) -> Page[Any]:
        wanted = self.validate_number(number)
        bottom = (wanted - 1) * self.per_page
        found = self.read(self.object_list, bottom, min(bottom + self.per_page, self.count))  # type: ignore[arg-type]
        return Page(found, wanted, self)


class Pages(PageNumberPagination):
    """``?page=`` and ``?page_size=``, or ``?cursor=``; what is no number or out of range is refused."""

    keyset: Keyset | None = None
    known_count: int | None = None
    page: Any = None
    page_size = 25
    max_page_size = 100
    page_size_query_param = "page_size"

    def read(self, rows: QuerySet[Any], bottom: int, top: int) -> list[Any]:
        """A slice of ordered rows."""
        return list(rows[bottom:top])

    def django_paginator_class(  # type: ignore[override]
        self, rows: QuerySet[Any], per_page: int
    ) -> Paginator[Any]:
        return Slices(rows, per_page, self.read, self.known_count)

    def get_page_size(self, request: Request) -> int:
        raw = request.query_params.get("page_size")
        if raw is None:
            return self.page_size
        if not is_number(raw) or not 1 <= int(raw) <= self.max_page_size:
            message = Text("A whole number from 1 to {limit}.", limit=self.max_page_size)
            raise ValidationFailed(field_errors={"page_size": [message]}, param="page_size")
        return int(raw)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        self.keyset = None
        if "cursor" in request.query_params:
            if "page" in request.query_params:
                text = Text("Give either {old} or {new}, not both.", old="page", new="cursor")
                raise ValidationFailed(field_errors={"cursor": [text]}, param="cursor")
            self.request = request
            self.keyset = Keyset.over(queryset)
            rows = self.keyset.beyond(queryset, request.query_params["cursor"])
            return self.keyset.page(rows, self.get_page_size(request), self.read)
        raw = request.query_params.get("page", "1")
        if not is_number(raw) or int(raw) < 1:
            raise ValidationFailed(field_errors={"page": [Text("A whole number from 1.")]}, param="page")
        try:
            return super().paginate_queryset(queryset, request, view)
        except exceptions.NotFound as error:
            raise NotFound("There is no page {page}.", page=int(raw)) from error

    def get_paginated_response(self, data: Any) -> Response:
        if self.keyset is None:
            return super().get_paginated_response(data)
        url = self.request.build_absolute_uri()  # type: ignore[union-attr]
        links = {
            name: replace_query_param(url, "cursor", cursor) if cursor else None
            for name, cursor in (("next", self.keyset.following), ("previous", self.keyset.preceding))
        }
        return Response({"count": None, **links, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        found = super().get_paginated_response_schema(schema)
        found["properties"]["count"]["nullable"] = True
        return found

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = {
            "name": "cursor",
            "in": "query",
            "required": False,
            "description": "Instead of `page`: empty at first, then what `next` or `previous` carries.",
            "schema": {"type": "string"},
        }
        bounds = {"page": 10**MAX_DIGITS - 1, "page_size": self.max_page_size}
        found = super().get_schema_operation_parameters(view)
        for parameter in found:
            parameter["schema"] |= {"minimum": 1, "maximum": bounds[parameter["name"]]}
        return [*found, cursor]
