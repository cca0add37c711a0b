"""Filters that refuse what they do not know: an unknown or ill-typed filter is a 400 by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.db.models import QuerySet
from django_filters import IsoDateTimeFilter, NumberFilter, TypedChoiceFilter
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request

from megahub.kernel.errors import UnknownParameter, ValidationFailed
from megahub.kernel.text import Text

#: Query parameters that belong to pagination, ordering and format, not to a filter set.
RESERVED = {"page", "page_size", "ordering", "format"}


class Flag(TypedChoiceFilter):
    """true or false; anything else is refused (django-filter's own takes it for no filter)."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(choices=choices, coerce=lambda value: value == "true", **kwargs)


class Number(NumberFilter):
    """A number that the database's columns could hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=-(2**63), max_value=2**63 - 1, **kwargs)


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


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter, with unknown names refused."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        known = set(filterset.filters) if filterset is not None else set()
        unknown = sorted(set(request.query_params) - known - RESERVED)
        if unknown:
            raise UnknownParameter(
                "Unknown filter: {invalid_params}.",
                param=unknown[0],
                suggestions=sorted(known),
                invalid_params=unknown,
            )
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            found = {name: [str(text) for text in texts] for name, texts in filterset.errors.items()}
            first = next(iter(found))
            raise ValidationFailed(field_errors=found, param=first, suggestions=_choices(filterset, first))
        return cast(QuerySet[Any], filterset.qs)


def _choices(filterset: Any, name: str) -> list[str] | None:
    """What a filter with a closed choice takes."""
    choices = getattr(filterset.form.fields[name], "choices", ())
    return [str(value) for value, _ in choices if value] or None


class StrictOrderingFilter(OrderingFilter):
    """``?ordering=-a,b`` over the view's ``ordering_fields``; unknown fields refused."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        raw = request.query_params.get(self.ordering_param)
        if not raw:
            return self.get_default_ordering(view)
        fields: dict[str, str] = dict(view.ordering_fields)
        asked = [field.strip() for field in raw.split(",") if field.strip()]
        unknown = [field for field in asked if field.lstrip("-") not in fields]
        if unknown:
            message = Text("Cannot order by {fields}.", fields=unknown)
            raise ValidationFailed(
                field_errors={"ordering": [message]}, param="ordering", suggestions=sorted(fields)
            )
        return [("-" if field.startswith("-") else "") + fields[field.lstrip("-")] for field in asked]

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        ordering = self.get_ordering(request, queryset, view)
        return queryset.order_by(*ordering) if ordering else queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = ", ".join(sorted(getattr(view, "ordering_fields", {})))
        return [
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "description": f"Comma-separated, `-` for descending: {names}.",
                "schema": {"type": "string"},
            }
        ]
