"""Bodies of ordinary views."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from megahub.kernel.text import Text


class Known(serializers.Serializer[Any]):
    """A body whose unknown fields are refused by name."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: [Text("Unknown field.")] for name in unknown})
        return super().to_internal_value(data)
