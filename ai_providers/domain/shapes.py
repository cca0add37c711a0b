"""The shapes of structured parameters of a chat, as OpenAI's specification v2.3.0 has them. Pure.

What is wrong with a value is told in the words that the fields' other problems have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from megahub.kernel.text import Text

FORMATS = ("text", "json_object", "json_schema")
CHOICES_OF_TOOLS = ("none", "auto", "required")
TOOLS = ("function", "custom")
MAX_STOPS = 4
MAX_PAIRS = 16
MAX_IDENTIFIER = 64


def wrong(name: str, value: Any) -> Text | None:
    """What is wrong with the value of the parameter ``name``, whose type is right; None when nothing is."""
    check = CHECKS.get(name)
    return check(value) if check is not None else None


def _expected(types: str) -> Text:
    return Text("Expected {types}.", types=types)


def _texts(items: Any) -> bool:
    return all(isinstance(item, str) for item in items)


def _stop(value: Any) -> Text | None:
    if isinstance(value, str) or (1 <= len(value) <= MAX_STOPS and _texts(value)):
        return None
    return _expected(f"string | array of 1 to {MAX_STOPS} strings")


def _metadata(value: dict[str, Any]) -> Text | None:
    good = len(value) <= MAX_PAIRS and _texts(value.values())
    return None if good else _expected(f"object of at most {MAX_PAIRS} strings")


def _logit_bias(value: dict[str, Any]) -> Text | None:
    good = all(isinstance(bias, int) and not isinstance(bias, bool) for bias in value.values())
    return None if good else _expected("object of integers")


def _stream_options(value: dict[str, Any]) -> Text | None:
    good = isinstance(value.get("include_usage", False), bool | None) and set(value) <= {"include_usage"}
    return None if good else _expected("object with include_usage (boolean)")


def _identifier(value: str) -> Text | None:
    return None if len(value) <= MAX_IDENTIFIER else _expected(f"string of at most {MAX_IDENTIFIER}")


def _response_format(value: dict[str, Any]) -> Text | None:
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in FORMATS:
        return Text("Expected an object whose type is one of {choices}.", choices=FORMATS)
    schema = value.get("json_schema")
    named = isinstance(schema, dict) and isinstance(schema.get("name"), str)
    return (
        None if kind != "json_schema" or named else _expected("object with json_schema (object with name)")
    )


def _tool_choice(value: Any) -> Text | None:
    if isinstance(value, str):
        known = value in CHOICES_OF_TOOLS
        return None if known else Text("Must be one of {choices}.", choices=CHOICES_OF_TOOLS)
    kind = value.get("type")
    if kind == "allowed_tools":
        return _allowed_tools(value.get(kind))
    tool = value.get(kind) if isinstance(kind, str) and kind in TOOLS else None
    named = isinstance(tool, dict) and isinstance(tool.get("name"), str)
    return None if named else _expected("object with function (object with name)")


def _allowed_tools(value: Any) -> Text | None:
    good = isinstance(value, dict) and value.get("mode") in ("auto", "required")
    tools = value.get("tools") if good else None
    if isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools):
        return None
    return _expected("object with allowed_tools (object with mode and tools)")


CHECKS: dict[str, Callable[[Any], Text | None]] = {
    "stop": _stop,
    "metadata": _metadata,
    "logit_bias": _logit_bias,
    "stream_options": _stream_options,
    "safety_identifier": _identifier,
    "response_format": _response_format,
    "tool_choice": _tool_choice,
}
