"""The OpenAPI document against real answers: every answer that a test's client gets is held to it.

``conftest.Api`` hands each exchange to ``check``: a status, a media type or a field that the document does
not have fails the test that met it. ``./hub test … --record-examples`` keeps the most telling exchange of
each operation as its example (docs/contract.md).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import httpx2
import jsonschema_rs
from drf_spectacular.generators import SchemaGenerator

from megahub.kernel.openapi import EVENTS

METHODS = ("get", "post", "put", "patch", "delete")
PREFIXES = ("/ai/", "/v1/", "/auth/", "/api/")


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document as it is served."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return found


@lru_cache(maxsize=1)
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation by (method, path)."""
    return {
        (method.upper(), path): item[method]
        for path, item in document()["paths"].items()
        for method in METHODS
        if method in item
    }


@lru_cache(maxsize=1)
def _routes() -> list[tuple[re.Pattern[str], str]]:
    """Paths with the most literal ones first; only a model's name may hold a slash."""
    paths = sorted(document()["paths"], key=lambda path: (path.count("{"), path))
    found = []
    for path in paths:
        form = "".join(
            ("(.+)" if part == "{model_id}" else "([^/]+)") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\})", path)
        )
        found.append(
            (re.compile(form + "/?" if not path.endswith("/") else form.removesuffix("/") + "/?"), path)
        )
    return found


@lru_cache(maxsize=4096)
def path_of(path: str) -> str | None:
    """The document's path that a request's path is of."""
    return next((found for form, found in _routes() if form.fullmatch(path)), None)


def plain(schema: Any, *, closed: bool) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: ``nullable`` as a type, refs into ``$defs``.

    ``closed``: an object that names its properties has no others, unless it says so.
    """
    if isinstance(schema, list):
        return [plain(item, closed=closed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {
        name: value
        if name in ("enum", "example", "default", "required")
        else {key: plain(item, closed=closed) for key, item in value.items()}
        if name == "properties"
        else plain(value, closed=closed)
        for name, value in schema.items()
        if name not in ("nullable", "example", "description")
    }
    if "$ref" in found:
        found["$ref"] = found["$ref"].replace("#/components/schemas/", "#/$defs/")
    if closed and "properties" in found:
        found.setdefault("additionalProperties", False)
    if not schema.get("nullable"):
        return found
    if "enum" in found and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    if isinstance(found.get("type"), str) and not {"allOf", "oneOf", "anyOf"} & set(found):
        return {**found, "type": [found["type"], "null"]}
    return {"anyOf": [found, {"type": "null"}]}


@lru_cache(maxsize=2)
def _definitions(closed: bool) -> dict[str, Any]:
    return {
        name: plain(schema, closed=closed) for name, schema in document()["components"]["schemas"].items()
    }


def _named(schema: Any, known: dict[str, Any]) -> set[str]:
    """The definitions that a schema refers to, directly or not: to build a validator of all takes long."""
    found: set[str] = set()
    left = [schema]
    while left:
        names = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(left.pop()))) - found
        found |= names
        left += [known[name] for name in names]
    return found


def validator(schema: dict[str, Any], *, closed: bool) -> Any:
    """A validator of one schema of the document."""
    own, known = plain(schema, closed=closed), _definitions(closed)
    whole = {**own, "$defs": {name: known[name] for name in sorted(_named(own, known))}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@lru_cache(maxsize=2048)
def _of_answer(method: str, path: str, status: str, media: str) -> Any:
    schema = operations()[method, path]["responses"][status]["content"][media].get("schema", {})
    return validator(schema, closed=True)


def problems(method: str, path: str, response: httpx2.Response) -> list[str]:
    """What of an answer the document does not say."""
    known = path_of(path)
    if known is None or (method, known) not in operations():
        return []
    answers = operations()[method, known]["responses"]
    status = str(response.status_code)
    if status in ("405", "308") or status == "500":
        return []
    if status not in answers:
        return [f"status {status} is not among {sorted(answers)}"]
    if not response.content and not answers[status].get("content"):
        return []
    media = response.headers.get("content-type", "").split(";")[0]
    content = {kind.split(";")[0]: kind for kind in answers[status].get("content", {})}
    if not content:
        return [f"{status} is documented without a body: {response.text[:200]}"] if response.content else []
    if media not in content:
        return [f"media type {media!r} of {status} is not among {sorted(content)}"]
    told = {"application/json": lambda: [response.json()], EVENTS: lambda: events(response.text)}
    return [
        f"{status} at {list(error.instance_path)}: {error.message[:300]}"
        for each in (told[media]() if media in told else ())
        for error in _of_answer(method, known, status, content[media]).iter_errors(each)
    ]


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream, as a client that knows only the standard reads them."""
    found: list[dict[str, str]] = []
    for piece in text.split("\n\n"):
        lines = [line.split(":", 1) for line in piece.split("\n") if line and not line.startswith(":")]
        data = [value.removeprefix(" ") for name, value in lines if name == "data"]
        rest = {name: value.removeprefix(" ") for name, value in lines if name != "data"}
        if data:
            found.append({"event": "message", **rest, "data": "\n".join(data)})
    return found


def check(method: str, url: str, response: httpx2.Response) -> None:
    """Fail for an answer that the document does not have."""
    path = url.split("?", 1)[0]
    if not path.startswith(PREFIXES):
        return
    found = problems(method, path, response)
    assert found == [], f"{method} {path}: not as the OpenAPI document says (docs/contract.md): {found[:5]}"
