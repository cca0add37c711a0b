"""Filters that refuse what they do not know: an unknown or ill-typed filter is a 400 by name."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.db.models import OrderBy, QuerySet
from django_filters import (
    BaseInFilter,
    CharFilter,
    ChoiceFilter,
    IsoDateTimeFilter,
    NumberFilter,
    TypedChoiceFilter,
)
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request

from megahub.kernel import keyset, money
from megahub.kernel.errors import ValidationFailed
from megahub.kernel.shapes import refuse_unknown
from megahub.kernel.text import Text

#: Query parameters that belong to pagination, not to a filter set.
OF_PAGES = {"page", "page_size", "cursor"}
#: What a bigint column may hold.
MOST = 2**63 - 1
MOST_USD = Decimal(10**9)


@extend_schema_field(OpenApiTypes.BOOL)
class Flag(TypedChoiceFilter):
    """true or false; anything else is refused (django-filter's own takes it for no filter)."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(choices=choices, coerce=lambda value: value == "true", **kwargs)


class MomentField(IsoDateTimeField):
    """ISO 8601, of a moment that there is in UTC too (the first of all days ends elsewhere)."""

    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        try:
            return None if moment is None else moment.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error


class Moment(IsoDateTimeFilter):
    """A moment with its time zone, or in UTC."""

    field_class = MomentField


@extend_schema_field(OpenApiTypes.INT)
class Whole(NumberFilter):
    """A whole number; 1.5 is refused, not rounded."""

    field_class = forms.IntegerField

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": -MOST, "max_value": MOST, **kwargs})

    def get_max_validator(self) -> None:
        """The bounds are the field's own."""


@extend_schema_field(OpenApiTypes.NUMBER)
class Usd(NumberFilter):
    """An amount of whole USD, over a column of nano-USD."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=-MOST_USD, max_value=MOST_USD, **kwargs)

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        nano = None if value is None else money.to_nano(value)
        return cast(QuerySet[Any], super().filter(qs, nano))


@extend_schema_field(OpenApiTypes.NUMBER)
class Seconds(NumberFilter):
    """A duration in seconds, over a column of milliseconds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=10**9, **kwargs)

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        ms = None if value is None else value * 1000
        return cast(QuerySet[Any], super().filter(qs, ms))


@extend_schema_field(OpenApiTypes.NUMBER)
class Number(NumberFilter):
    """A number; one that no column could hold is refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": -MOST, "max_value": MOST, **kwargs})


class Chosen(BaseInFilter, ChoiceFilter):
    """Some of a closed choice, between commas."""


class Listed(BaseInFilter, CharFilter):
    """Texts between commas: one of them."""


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter, with unknown names refused; ``reserved`` ones belong to others."""

    reserved: frozenset[str] = frozenset(("format",))

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        known = set(filterset.filters) if filterset is not None else set()
        refuse_unknown(set(request.query_params) - self.reserved, known | _around(view), in_query=True)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            found = {name: [str(text) for text in texts] for name, texts in filterset.errors.items()}
            first = next(iter(found))
            raise ValidationFailed(field_errors=found, param=first, suggestions=_choices(filterset, first))
        refuse_crossing(filterset.form.cleaned_data)
        return cast(QuerySet[Any], filterset.qs)


def _around(view: Any) -> set[str]:
    """What a view takes beside its filters."""
    found = OF_PAGES if getattr(view, "paginator", None) is not None else set()
    return found | ({"ordering"} if getattr(view, "ordering_fields", None) else set())


def _choices(filterset: Any, name: str) -> list[str] | None:
    """What a filter with a closed choice takes."""
    choices = getattr(filterset.form.fields[name], "choices", ())
    return [str(value) for value, _ in choices if value] or None


def refuse_crossing(asked: dict[str, Any]) -> None:
    """Raise ValidationFailed for a range that ends before it begins (``x__gte`` above ``x__lte``)."""
    for name, least in asked.items():
        most = asked.get(f"{name.removesuffix('gte')}lte") if name.endswith("__gte") else None
        if least is not None and most is not None and least > most:
            other = f"{name.removesuffix('gte')}lte"
            text = Text("Must not be after {other}.", other=other)
            raise ValidationFailed(field_errors={name: [text]}, param=name)


def _directed(rows: QuerySet[Any], asked: str, name: str) -> str | OrderBy:
    """A column, or (``-name``) one that is better the less it is, in the direction that was asked for."""
    descending = asked.startswith("-") is not name.startswith("-")
    plain = name.removeprefix("-")
    return keyset.directed(plain, descending, nullable=keyset.column(rows, plain)[0])


class StrictOrderingFilter(OrderingFilter):
    """``?ordering=-a,b`` over the view's ``ordering_fields``; unknown fields refused.

    What may be null comes last, whichever the direction. Rows that are alike follow each other by number,
    so that pages never overlap.
    """

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        raw = request.query_params.get(self.ordering_param)
        if not raw:
            return self.get_default_ordering(view)
        fields: dict[str, str] = dict(view.ordering_fields)
        asked = [field.strip() for field in raw.split(",") if field.strip()]
        unknown = [field for field in asked if field.removeprefix("-") not in fields]
        if unknown:
            message = Text("Cannot order by {fields}.", fields=unknown)
            raise ValidationFailed(
                field_errors={"ordering": [message]}, param="ordering", suggestions=sorted(fields)
            )
        return [_directed(queryset, name, fields[name.removeprefix("-")]) for name in asked]

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        ordering = self.get_ordering(request, queryset, view)
        if not ordering:
            return queryset
        last = (
            []
            if {"id", "-id", "pk", "-pk"} & {each for each in ordering if isinstance(each, str)}
            else ["-pk"]
        )
        return queryset.order_by(*ordering, *last)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        fields = sorted(getattr(view, "ordering_fields", None) or {})
        if not fields:
            return []
        one = f"-?({'|'.join(fields)})"
        return [
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "description": f"Comma-separated, `-` for descending: {', '.join(fields)}.",
                "schema": {"type": "string", "pattern": f"^{one}(,{one})*$"},
            }
        ]
