"""The hot lane in the OpenAPI document: fast views are not DRF's, so they say their operations here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.urls import URLPattern, URLResolver, get_resolver

V = TypeVar("V", bound=Callable[..., Any])


def operation(method: str, **details: Any) -> Callable[[V], V]:
    """Document one method of a fast view: an OpenAPI operation object as keyword arguments."""

    def mark(view: V) -> V:
        operations = getattr(view, "openapi_operations", {})
        view.openapi_operations = {**operations, method.lower(): details}  # type: ignore[attr-defined]
        return view

    return mark


def add_fast_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook."""
    security: list[dict[str, list[str]]] = [{"bearerAuth": []}]
    for path, view in _views(get_resolver().url_patterns, "/"):
        for method, details in getattr(view, "openapi_operations", {}).items():
            operations = result["paths"].setdefault(path, {})
            operations[method] = {"security": security, **details}
    for operations in result["paths"].values():
        for details in operations.values():
            _summarize(details)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _summarize(details: dict[str, Any]) -> None:
    """The first line of a description is its summary too."""
    if details.get("description") and not details.get("summary"):
        details["summary"] = details["description"].split("\n", 1)[0].rstrip(".")


def _views(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern.callback
