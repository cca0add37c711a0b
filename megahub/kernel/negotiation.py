"""``?format=`` as an endpoint's own parameter, not DRF's."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation


class OwnFormat(BaseContentNegotiation):
    """The first renderer, whatever ``?format=`` says; errors are told as everywhere."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
