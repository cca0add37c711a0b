"""A value that satisfies a JSON schema: the arguments of a tool call, a structured answer.

Read are type, enum, const, properties, items, minItems, $ref to a place in the same schema, anyOf,
oneOf, allOf, the bounds of strings and numbers, and the usual string formats. `pattern` and the
keywords that forbid are not.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from sandbox import errors, prose

Schema = Mapping[str, Any]

# A schema may contain itself; below this depth only what it demands is written.
DEEP = 6

# What a keyword with a value of the wrong type or size comes to.
MALFORMED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)

_FORMATS = {
    "date": "2026-11-20",
    "date-time": "2026-11-20T12:00:00Z",
    "time": "12:00:00Z",
    "email": "sandbox@example.com",
    "uri": "https://example.com/sandbox",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "hostname": "example.com",
    "duration": "PT1H",
}


def example(schema: Schema, seed: int) -> Any:
    """A deterministic value for the schema; the seed chooses words and numbers."""
    return _value(schema, schema, seed, 0)


def example_json(schema: Schema, seed: int, param: str) -> str:
    """The example as JSON text; raises ApiError naming the parameter if it is no JSON schema."""
    try:
        return orjson.dumps(example(schema, seed)).decode()
    except MALFORMED:
        raise errors.invalid_schema(param) from None


def _value(schema: Any, root: Schema, seed: int, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][seed % len(schema["enum"])]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return _value(_chosen(schema[choice], root, depth), root, seed, depth)
    kind = _kind(schema, depth)
    if kind == "object":
        return _object(schema, root, seed, depth)
    if kind == "array":
        return _array(schema, root, seed, depth)
    return _scalar(kind, schema, seed)


def _resolved(schema: Any, root: Schema) -> Schema:
    """The schema with its $ref followed and its allOf merged into it; `true` is {}."""
    found: Schema = schema if isinstance(schema, Mapping) else {}
    for _ in range(DEEP):
        if isinstance(found.get("$ref"), str):
            found = _at(found["$ref"], root)
    if not found.get("allOf"):
        return found
    merged: dict[str, Any] = {key: value for key, value in found.items() if key != "allOf"}
    for part in found["allOf"]:
        resolved = _resolved(part, root)
        properties = {**merged.get("properties", {}), **resolved.get("properties", {})}
        merged = {**merged, **resolved, **({"properties": properties} if properties else {})}
    return merged


def _at(reference: str, root: Schema) -> Schema:
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        place = place.get(name, {}) if isinstance(place, Mapping) else {}
    return place if isinstance(place, Mapping) else {}


def _chosen(choices: list[Any], root: Schema, depth: int) -> Any:
    """The first choice; when deep, the one that ends the recursion if there is one."""
    if depth >= DEEP:
        for choice in choices:
            if _resolved(choice, root).get("type") == "null":
                return choice
    return choices[0]


def _kind(schema: Schema, depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        return "null" if depth >= DEEP and "null" in kind else str(kind[0])
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _object(schema: Schema, root: Schema, seed: int, depth: int) -> dict[str, Any]:
    properties: Schema = schema.get("properties") or {}
    required = schema.get("required") or []
    names = [name for name in properties if depth < DEEP or name in required]
    if depth > DEEP * 4:
        # A schema whose required parts contain themselves has no value at all.
        names = []
    return {
        name: _value(properties[name], root, seed + 31 * place + 7, depth + 1)
        for place, name in enumerate(names)
    }


def _array(schema: Schema, root: Schema, seed: int, depth: int) -> list[Any]:
    least = int(schema.get("minItems") or 0)
    size = least if depth >= DEEP else max(least, 1)
    items = schema.get("items", {})
    return [_value(items, root, seed + 13 * place + 3, depth + 1) for place in range(size)]


def _scalar(kind: str, schema: Schema, seed: int) -> Any:
    if kind == "null":
        return None
    if kind == "boolean":
        return seed % 2 == 0
    if kind in ("integer", "number"):
        return _number(schema, seed, whole=kind == "integer")
    return _FORMATS.get(str(schema.get("format"))) or _text(schema, seed)


def _text(schema: Schema, seed: int) -> str:
    least = int(schema.get("minLength") or 0)
    most = schema.get("maxLength")
    text = prose.filler(seed, max(least, 12)).ljust(least, "x")
    stripped = text if least > 12 else text.rsplit(" ", 1)[0].strip().ljust(least, "x")
    return stripped if most is None else stripped[: int(most)]


def _number(schema: Schema, seed: int, *, whole: bool) -> float:
    step = schema.get("multipleOf")
    if not whole and not step:
        return _decimal(schema, seed)
    step = step or 1
    low = _bound(schema, "minimum", "exclusiveMinimum", step)
    high = _bound(schema, "maximum", "exclusiveMaximum", -step)
    if low is None:
        low = 0 if high is None or high >= 0 else high - 100 * step
    first = math.ceil(low / step)
    last = first + 100 if high is None else math.floor(high / step)
    value = (first + seed % (max(last - first, 0) + 1)) * step
    return int(value) if whole else float(value)


def _decimal(schema: Schema, seed: int) -> float:
    """Halfway between two bounds, one off a single bound: right for exclusive bounds as well."""
    low = _bound(schema, "minimum", "exclusiveMinimum", 0)
    high = _bound(schema, "maximum", "exclusiveMaximum", 0)
    if low is None and high is None:
        return seed % 200 / 2
    if low is None or high is None:
        return (low or 0) + 1 if high is None else high - 1
    return (low + high) / 2


def _bound(schema: Schema, inclusive: str, exclusive: str, step: float) -> float | None:
    if isinstance(schema.get(exclusive), int | float):
        return float(schema[exclusive]) + step
    bound = schema.get(inclusive)
    return None if bound is None else float(bound)
