"""Pages of 25 (100 at most): ``{count, next, previous, results}``.

``?cursor=`` (empty for the first page, then whatever ``next`` carries) goes from row to row instead of
counting: its pages cost the same however deep they are, and nothing is skipped or seen twice while
rows are added. It goes forward only, and ``count`` is null.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, OrderBy, Q, QuerySet
from rest_framework import exceptions
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from megahub.kernel.errors import NotFound, ValidationFailed
from megahub.kernel.text import Text

#: A longer number of a page is no page's, and Python reads no number of thousands of digits.
MAX_DIGITS = 9


def is_number(raw: str) -> bool:
    """Whether a query parameter is a whole number that can be read."""
    return raw.isdecimal() and len(raw) <= MAX_DIGITS


@dataclass(slots=True)
class Keyset:
    """The keys that a queryset is ordered by, and where the next page begins ("" after the last)."""

    keys: list[tuple[str, bool, Field[Any, Any]]]
    following: str = ""

    @classmethod
    def over(cls, queryset: QuerySet[Any]) -> Keyset:
        """Raises ValidationFailed for an ordering by what may be null or is computed."""
        names = [_name(order) for order in queryset.query.order_by]
        if not {"pk", "-pk", "id", "-id"} & set(names):
            names.append("-pk")
        return cls([(name.lstrip("-"), name.startswith("-"), _column(queryset, name)) for name in names])

    def after(self, queryset: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """The rows behind the cursor's. Raises ValidationFailed for one that is not of this ordering."""
        if not cursor:
            return queryset
        try:
            names, raw = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))
            if names != self._names() or len(raw) != len(self.keys):
                raise ValueError("a cursor of another ordering")
            values = [field.to_python(value) for (_, _, field), value in zip(self.keys, raw, strict=True)]
            if None in values:
                raise ValueError("a cursor without a position")
        except (ValueError, TypeError, binascii.Error, ValidationError) as error:
            text = Text("Not a cursor of this list and ordering.")
            raise ValidationFailed(field_errors={"cursor": [text]}, param="cursor") from error
        return queryset.filter(self._behind(values))

    def page(self, rows: QuerySet[Any], size: int) -> list[Any]:
        """The page's rows; ``following`` is set when there are more."""
        found = list(rows[: size + 1])
        if len(found) > size:
            found.pop()
            position = [self._value(found[-1], field) for _, _, field in self.keys]
            raw = orjson.dumps([self._names(), position])
            self.following = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return found

    def _names(self) -> list[str]:
        return [("-" if descending else "") + name for name, descending, _ in self.keys]

    @staticmethod
    def _value(row: Any, field: Field[Any, Any]) -> Any:
        value = getattr(row, field.attname)
        return value.isoformat() if isinstance(value, datetime) else value

    def _behind(self, values: list[Any], number: int = 0) -> Q:
        """The first key bounds the scan; keys behind it decide among its equals."""
        name, descending, _ = self.keys[number]
        operator = "lt" if descending else "gt"
        strictly = Q(**{f"{name}__{operator}": values[number]})
        if number == len(self.keys) - 1:
            return strictly
        return Q(**{f"{name}__{operator}e": values[number]}) & (strictly | self._behind(values, number + 1))


def _name(order: Any) -> str:
    if isinstance(order, OrderBy):
        return ("-" if order.descending else "") + getattr(order.expression, "name", "")
    return str(order)


def _column(queryset: QuerySet[Any], name: str) -> Field[Any, Any]:
    plain = name.lstrip("-")
    meta = queryset.model._meta
    try:
        field = meta.pk if plain == "pk" else meta.get_field(plain)
    except FieldDoesNotExist:
        field = None
    if not isinstance(field, Field) or field.null:
        text = Text("A cursor cannot follow an ordering by {field}.", field=plain)
        raise ValidationFailed(field_errors={"cursor": [text]}, param="cursor")
    return field


class Pages(PageNumberPagination):
    """``?page=`` and ``?page_size=``, or ``?cursor=``; what is no number or out of range is refused."""

    keyset: Keyset | None = None

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
        self.keyset = None
        if "cursor" in request.query_params:
            if "page" in request.query_params:
                text = Text("Give either {old} or {new}, not both.", old="page", new="cursor")
                raise ValidationFailed(field_errors={"cursor": [text]}, param="cursor")
            self.request = request
            self.keyset = Keyset.over(queryset)
            rows = self.keyset.after(queryset, request.query_params["cursor"])
            return self.keyset.page(rows, self.get_page_size(request))
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
        following = None
        if self.keyset.following:
            url = self.request.build_absolute_uri()  # type: ignore[union-attr]
            following = replace_query_param(url, "cursor", self.keyset.following)
        return Response({"count": None, "next": following, "previous": None, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        found = super().get_paginated_response_schema(schema)
        found["properties"]["count"]["nullable"] = True
        return found

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = {
            "name": "cursor",
            "in": "query",
            "required": False,
            "description": "Instead of `page`: empty for the first page, then what `next` carries.",
            "schema": {"type": "string"},
        }
        return [*super().get_schema_operation_parameters(view), cursor]
