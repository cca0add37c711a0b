"""Bodies that refuse what they do not know: an unknown field is a 400 by name, never ignored."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from megahub.kernel.errors import UnknownParameter


class StrictSerializer(serializers.Serializer[Any]):
    """A body whose unknown fields are refused by name, with those that are accepted."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise UnknownParameter(
                param=unknown[0], suggestions=sorted(self.fields), invalid_params=unknown
            )
        return super().to_internal_value(data)
