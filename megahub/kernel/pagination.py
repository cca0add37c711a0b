"""Pages of 25 (100 at most): ``{count, next, previous, results}``."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

from megahub.kernel.errors import NotFound, ValidationFailed
from megahub.kernel.text import Text

#: A longer number of a page is no page's, and Python reads no number of thousands of digits.
MAX_DIGITS = 9


def is_number(raw: str) -> bool:
    """Whether a query parameter is a whole number that can be read."""
    return raw.isdecimal() and len(raw) <= MAX_DIGITS


class Pages(PageNumberPagination):
    """``?page=`` and ``?page_size=``; a size that is no number or out of range is refused."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "page_size"

    def get_page_size(self, request: Request) -> int:
        raw = request.query_params.get("page_size")
        if raw is None:
            return self.page_size
        if not is_number(raw) or not 1 <= int(raw) <= self.max_page_size:
            message = Text("A whole number from 1 to {limit}.", limit=self.max_page_size)
            raise ValidationFailed(field_errors={"page_size": [message]}, param="page_size")
        return int(raw)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        raw = request.query_params.get("page", "1")
        if not is_number(raw) or int(raw) < 1:
            raise ValidationFailed(field_errors={"page": [Text("A whole number from 1.")]}, param="page")
        try:
            return super().paginate_queryset(queryset, request, view)
        except exceptions.NotFound as error:
            raise NotFound("There is no page {page}.", page=int(raw)) from error
