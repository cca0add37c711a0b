"""Wrong values by enumeration over the OpenAPI document: the document itself says which ones are wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from tests import document

Schema = dict[str, Any]
NUL = "a\0b"
#: What is tried for every field of a body.
VALUES: tuple[Any, ...] = (None, True, "nonsense", "", -1, 1.5, 10**30, 1e308, [], {}, [None], [{}])
#: What is tried for every parameter of a query.
TEXTS = (
    "nonsense", NUL, "-1", "0", "1.5", "nan", "inf", "1e400", "9" * 5000, "-" + "9" * 20,
    "2026-13-01", "2026-02-30", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "0000-00", "1,x",
)  # fmt: skip
#: No moment is before the other.
CROSSED = {
    "date-time": ("2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z"),
    "date": ("2026-02-02", "2026-02-01"),
}


def whole(schema: Schema) -> Schema:
    """The schema that a ``$ref``, or one in ``allOf``, stands for."""
    while "$ref" in schema or "allOf" in schema:
        inner = schema if "$ref" in schema else schema["allOf"][0]
        name = inner["$ref"].rsplit("/", 1)[1]
        schema = {**document.document()["components"]["schemas"][name], "nullable": schema.get("nullable")}
    return schema


def json_body(details: dict[str, Any]) -> Schema | None:
    """The schema of the JSON that an operation takes."""
    media = details.get("requestBody", {}).get("content", {}).get("application/json")
    return None if media is None else whole(media["schema"])


def of_body(details: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(field, value that the document does not allow there)."""
    for field, schema in (json_body(details) or {}).get("properties", {}).items():
        form = document.validator(schema, closed=False)
        most = whole(schema).get("maxLength")
        for value in (*VALUES, *(["x" * (most + 1)] if most else [])):
            if not form.is_valid(value):
                yield field, value


def of_query(parameter: dict[str, Any]) -> Iterator[str]:
    """Texts that the document does not allow for a parameter."""
    schema = whole(parameter["schema"])
    # A closed choice refuses every other text alike.
    return (text for text in TEXTS[: 3 if "enum" in schema else None] if not _reads(schema, text))


def _reads(schema: Schema, text: str) -> bool:
    """Whether a text of a query is a value of the schema."""
    if text == NUL:
        return False
    if "enum" in schema:
        return text in [str(value).lower() for value in schema["enum"]]
    if schema.get("type") == "array":
        return all(_reads(whole(schema["items"]), part) for part in text.split(","))
    value = _read(schema, text)
    return value is not None and bool(document.validator(schema, closed=False).is_valid(value))


def _read(schema: Schema, text: str) -> Any:
    kind, form = schema.get("type"), schema.get("format")
    if kind == "boolean":
        return {"0": False, "true": True}.get(text)
    if kind == "integer":
        return int(text) if re.fullmatch(r"-?\d{1,4000}", text) else None
    if kind == "number":
        return float(text) if re.fullmatch(r"-?\d{1,300}(\.\d+)?", text) else None
    if form in CROSSED:
        return text if _moment(text, form) else None
    return text


def _moment(text: str, form: str) -> bool:
    try:
        return bool(date.fromisoformat(text) if form == "date" else datetime.fromisoformat(text))
    except ValueError:
        return False


def crossing(parameters: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(one name, the other name, a query whose range ends before it begins)."""
    known = {parameter["name"]: parameter["schema"] for parameter in parameters}
    for name, schema in known.items():
        other = "end_date" if name == "start_date" else re.sub(r"__gte$", "__lte", name)
        if other != name and other in known:
            values = CROSSED.get(schema.get("format", ""), ("2", "1"))
            yield name, other, dict(zip((name, other), values, strict=True))


def named_in(path: str, body: Any) -> set[str]:
    """The fields that an error names, without what is inside of them."""
    if path.startswith("/v1/"):
        found = {str(body["error"]["param"])}
    else:
        told = body["error"]["details"] if isinstance(body.get("error"), dict) else body
        found = {*told.get("field_errors", {}), *told.get("invalid_params", ()), str(told.get("param"))}
    return {re.split(r"[.\[]", name)[0] for name in found} | found
