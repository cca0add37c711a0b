"""Shapes that bodies and queries are read by: an unknown name is refused, not ignored."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from megahub.kernel.errors import UnknownParameter


class Strict(serializers.Serializer[Any]):
    """A serializer that raises UnknownParameter for a name that it does not have."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):  # a QueryDict too
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise UnknownParameter(
                    param=unknown[0], suggestions=sorted(self.fields), invalid_params=unknown
                )
        return super().to_internal_value(data)


def read(shape: type[Strict], data: Any) -> dict[str, Any]:
    """``data`` as ``shape`` reads it. Raises what is wrong with it."""
    found = shape(data=data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
