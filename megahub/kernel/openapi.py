"""The OpenAPI document's last touch: the hot lane, the errors of every operation, recorded examples.

Fast views are not DRF's, so they say their operations here (``operation``). Errors are found by
``refusals``. An example is a real answer that the tests recorded (docs/contract.md tells how).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import orjson
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework.serializers import DecimalField

from megahub.kernel import refusals

V = TypeVar("V", bound=Callable[..., Any])
METHODS = ("get", "post", "put", "patch", "delete")

BRAND: dict[str, Any] = {
    "name": "X-Brand-ID",
    "in": "header",
    "required": False,
    "description": "The brand; without it the user's default or only one.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
}
KEY: dict[str, Any] = {
    "name": refusals.KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "The same key and body replays the answer for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
#: The same for DRF's views.
KEY_PARAMETER = OpenApiParameter(
    KEY["name"], KEY["schema"], OpenApiParameter.HEADER, description=KEY["description"]
)
#: A stream's media type. OpenAPI 3.0 has the schema describe one event.
EVENTS = "text/event-stream"


def stream(data: str, *names: str, numbered: bool = False) -> dict[str, Any]:
    """The content of an answer that is a stream of server-sent events, of these names.

    One without a name is a `message`, as browsers call it: an error may end any stream.
    """
    event: dict[str, Any] = {
        "type": "object",
        "description": "One event of the stream.",
        "properties": {
            "event": {"type": "string", "enum": [*names, "message"]},
            "data": {"type": "string", "description": data},
        },
        "required": ["event", "data"],
        "additionalProperties": False,
    }
    if numbered:
        event["properties"]["id"] = {"type": "string", "description": "What `Last-Event-ID` takes."}
    return {EVENTS: {"schema": event}}


#: A body is: a name that it does not have is refused, not ignored (``shapes.Strict``).
CLOSED = {"additionalProperties": False}
RANGES = {"gte": "At least this", "lte": "At most this", "in": "One of these, between commas"}


class Schema(AutoSchema):
    """drf-spectacular's, with the Idempotency-Key of those views that take it for their POSTs.

    A decimal that is sent keeps its bounds: drf-spectacular drops those of what is answered as a text.
    """

    def get_override_parameters(self) -> list[Any]:
        takes_key = getattr(self.view, "takes_key", None)
        keyed = (
            self.method == "POST"
            and takes_key is not None
            and takes_key(getattr(self.view, "action", None) or "post")
        )
        found: list[Any] = super().get_override_parameters()
        return [*found, KEY_PARAMETER] if keyed else found

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        found = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        if isinstance(field, DecimalField) and direction == "request":
            bounds = {"minimum": field.min_value, "maximum": field.max_value}
            found |= {name: float(bound) for name, bound in bounds.items() if bound is not None}
        return found


def operation(method: str, **details: Any) -> Callable[[V], V]:
    """Document one method of a fast view: an OpenAPI operation object as keyword arguments."""

    def mark(view: V) -> V:
        operations = getattr(view, "openapi_operations", {})
        view.openapi_operations = {**operations, method.lower(): details}  # type: ignore[attr-defined]
        return view

    return mark


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook."""
    security: list[dict[str, list[str]]] = [{"bearerAuth": []}]
    fast = set()
    for path, view in _views(get_resolver().url_patterns, "/"):
        for method, details in getattr(view, "openapi_operations", {}).items():
            fast.add((path, method))
            operations = result["paths"].setdefault(path, {})
            operations[method] = {"security": security, **details}
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                _finish(path, operations[method], fast=(path, method) in fast)
    for name, schema in result["components"].get("schemas", {}).items():
        if name.endswith("Request"):
            schema.update(CLOSED)
            for field, kept in schema.get("properties", {}).items():
                schema["properties"][field] = _either(kept)
    for kind, found in refusals.components(result["paths"]).items():
        result["components"].setdefault(kind, {}).update(found)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _finish(path: str, details: dict[str, Any], *, fast: bool) -> None:
    """The headers that every call may carry, the errors, the examples, a summary."""
    parameters = details.setdefault("parameters", [])
    if {} not in details.get("security", [{}]) and not any(p["name"] == BRAND["name"] for p in parameters):
        parameters.append(BRAND)
    for parameter in parameters:
        parameter.setdefault("description", _described(parameter["name"]))
    responses = details.setdefault("responses", {})
    for status, answer in refusals.answers(path, refusals.of(path, details, fast=fast)).items():
        responses[status] = {**answer, "description": responses.get(status, answer)["description"]}
    for status, answer in responses.items():
        if status >= "400" and answer.get(
            "content"
        ):  # told by hand: in the words of the surface all the same
            answer["content"] = {**refusals.content(path), **_of_errors(answer)}
    details["responses"] = dict(sorted(responses.items()))
    body = details.get("requestBody", {}).get("content", {}).get(refusals.JSON, {})
    if "properties" in body.get("schema", {}):
        body["schema"] = {**body["schema"], **CLOSED}
    _exemplify(details)
    description = details.get("description", "")
    if description and not details.get("summary"):
        details["summary"] = description.split("\n", 1)[0].rstrip(".")


def _of_errors(answer: dict[str, Any]) -> dict[str, Any]:
    """The content of an error that ``refusals`` made; nothing of one that a view told."""
    content: dict[str, Any] = answer.get("content", {})
    return content if "$ref" in content.get(refusals.JSON, {}).get("schema", {}) else {}


def _either(schema: dict[str, Any]) -> dict[str, Any]:
    """A decimal that is sent may be a number as well as a string; it is always answered as a string."""
    if schema.get("format") != "decimal":
        return schema
    bounds = {name: schema[name] for name in ("minimum", "maximum") if name in schema}
    outside = {
        name: value for name, value in schema.items() if name not in ("type", "format", "pattern", *bounds)
    }
    sign = "" if bounds.get("minimum", -1) >= 0 else "-?"
    digits = re.search(r"d\{0,(\d+)\}\(\?:\\\.\\d\{0,(\d+)\}", schema.get("pattern", ""))
    whole, decimals = (f"{{1,{each}}}" for each in digits.groups()) if digits else ("+", "+")
    number = f"{sign}\\d{whole}(\\.\\d{decimals})?"
    # Of what may be null, an empty text is none.
    text = {"type": "string", "pattern": f"^({number})?$" if schema.get("nullable") else f"^{number}$"}
    return {**outside, "anyOf": [text, {"type": "number", **bounds}]}


def _described(name: str) -> str:
    """What a filter does, from its name: ``created_at__gte``, ``model``, ``id``."""
    field, _, how = name.rpartition("__")
    if field and how in RANGES:
        return f"{RANGES[how]}: `{field}`."
    return f"By `{name}`."


def _exemplify(details: dict[str, Any]) -> None:
    """Put the recorded request and answers where the document has none."""
    recorded = examples().get(details["operationId"], {})
    for media in details.get("requestBody", {}).get("content", {}).values():
        if "request" in recorded and not {"example", "examples"} & set(media):
            media["example"] = recorded["request"]
    for status, value in recorded.get("answers", {}).items():
        for kind, media in details["responses"].get(status, {}).get("content", {}).items():
            if kind in value and not {"example", "examples"} & set(media):
                media["example"] = value[kind]


@lru_cache(maxsize=1)
def examples() -> dict[str, dict[str, Any]]:
    """The recorded examples by operation: ``{"request": …, "answers": {"200": {media type: …}}}``."""
    folder = Path(settings.HUB_EXAMPLES_DIR)
    return {path.stem: orjson.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def _views(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern.callback
