"""Filters of ``GET /ai/credentials/history/``."""

from __future__ import annotations

from typing import Any

import django_filters as filters

from ai_providers.models import SealedKey
from ai_providers.services.keys import KEY_FORMS
from megahub.kernel.filters import Flag, Moment


class HistoryFilters(filters.FilterSet):
    """By provider, by whether a key is in use, by when it was stored."""

    provider = filters.ChoiceFilter(choices=[(name, name) for name in KEY_FORMS])
    is_live = Flag(field_name="retired_at", lookup_expr="isnull")
    created_at__gte = Moment(field_name="created_at", lookup_expr="gte")
    created_at__lte = Moment(field_name="created_at", lookup_expr="lte")

    class Meta:
        model = SealedKey
        fields: tuple[str, ...] = ()


HISTORY_ORDERING: dict[str, Any] = {name: name for name in ("id", "provider", "created_at", "retired_at")}
