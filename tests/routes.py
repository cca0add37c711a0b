"""Every path of the URLconf, so that no endpoint is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

#: Not the API's: for machines that watch, for people, and for those who read about it.
ELSEWHERE = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/schema/",
    "/docs/",
    "/admin/",
    "/console/",
    "/batch-api.html",
)
PARAMETER = re.compile(r"\(\?P<(\w+)>[^)]+\)|<(?:\w+:)?(\w+)>")


def of_the_api() -> dict[str, URLPattern]:
    """The API's patterns by path, parameters in braces: ``/ai/jobs/{ref}/``."""
    found = dict(walk(get_resolver().url_patterns, "/"))
    return {path: it for path, it in found.items() if path != "/" and not path.startswith(ELSEWHERE)}


def methods_of(pattern: URLPattern) -> set[str]:
    """The methods that a pattern answers, HEAD and OPTIONS apart."""
    view: Any = pattern.callback
    if hasattr(view, "fast_methods"):
        found = set(view.fast_methods)
    elif hasattr(view, "actions"):
        found = {method.upper() for method in view.actions}
    else:
        found = {name.upper() for name in view.cls.http_method_names if hasattr(view.cls, name)}
    return found - {"HEAD", "OPTIONS"}


def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = PARAMETER.sub(r"{\1\2}", str(pattern.pattern))
        path = prefix + route.removeprefix("^").removesuffix("$").removesuffix(r"\Z")
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern
