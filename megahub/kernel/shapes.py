"""Shapes that bodies and queries are read by: an unknown name is refused, not ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers

from megahub.kernel.errors import UnknownParameter


def refuse_unknown(given: Iterable[str], known: Iterable[str], *, in_query: bool = False) -> None:
    """Raise UnknownParameter for names that are not known, with those that are."""
    unknown = sorted(set(given) - set(known))
    if not unknown:
        return
    facts: dict[str, Any] = {"param": unknown[0], "suggestions": sorted(known), "invalid_params": unknown}
    if in_query:
        raise UnknownParameter("Unknown filter: {invalid_params}.", **facts)
    raise UnknownParameter(**facts)


def refuse_numbers(
    data: dict[str, Any], fields: Mapping[str, serializers.Field[Any, Any, Any, Any]]
) -> None:
    """Raise ValidationError for numbers where texts are asked for."""
    found = {
        name: [field.error_messages["invalid"]]
        for name, field in fields.items()
        if isinstance(field, serializers.CharField) and isinstance(data.get(name), int | float)
    }
    if found:
        raise serializers.ValidationError(found)


class Strict(serializers.Serializer[Any]):
    """A body's serializer that raises UnknownParameter for a name that it does not have.

    A number is no text here: DRF would take it for one.
    """

    in_query = False

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):  # a QueryDict too
            refuse_unknown(data, self.fields, in_query=self.in_query)
            refuse_numbers(data, self.fields)
        return super().to_internal_value(data)


class StrictQuery(Strict):
    """The same for a query's parameters."""

    in_query = True


def read(shape: type[Strict], data: Any) -> dict[str, Any]:
    """``data`` as ``shape`` reads it. Raises what is wrong with it."""
    found = shape(data=data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
