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


def refuse_mistaken(data: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Raise ValidationError for what DRF would take for another type: a number for a text, true for 1."""
    found = {
        name: [field.error_messages.get("invalid") or field.error_messages["not_a_list"]]
        for name, field in fields.items()
        if any(isinstance(field, kind) and isinstance(data.get(name), odd) for kind, odd in MISTAKEN)
        or (isinstance(field, serializers.BooleanField) and data.get(name) == "")
    }
    if found:
        raise serializers.ValidationError(found)


#: (field, what is none of its values although DRF makes one of it)
MISTAKEN: tuple[tuple[type, Any], ...] = (
    (serializers.CharField, int | float),
    (serializers.FloatField, bool),
    (serializers.DecimalField, bool),
    (serializers.MultipleChoiceField, dict),
)


class Strict(serializers.Serializer[Any]):
    """A body's serializer that raises UnknownParameter for a name that it does not have.

    Types are as they are told: see ``refuse_mistaken``.
    """

    in_query = False

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):  # a QueryDict too
            refuse_unknown(data, self.fields, in_query=self.in_query)
            if not self.in_query:
                refuse_mistaken(data, self.fields)
        return super().to_internal_value(data)


class StrictQuery(Strict):
    """The same for a query's parameters."""

    in_query = True


def read(shape: type[Strict], data: Any) -> dict[str, Any]:
    """``data`` as ``shape`` reads it. Raises what is wrong with it."""
    found = shape(data=data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
