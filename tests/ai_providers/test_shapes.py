"""The shapes of structured parameters."""

from __future__ import annotations

from typing import Any

import pytest

from ai_providers.catalogue import loading
from ai_providers.domain import params, shapes
from megahub.kernel.errors import ValidationFailed

FORMATS = "Expected an object whose type is one of text, json_object, json_schema."
CHOICE = "Expected object with function (object with name)."
STOP = "Expected string | array of 1 to 4 strings."
OPTIONS = "Expected object with include_usage (boolean)."


def test_it_works() -> None:
    body = {"messages": [{"role": "user", "content": "a"}], "stop": ["a", 1]}

    with pytest.raises(ValidationFailed) as caught:
        params.clean(loading.models()["gpt-4o"], body, with_defaults=False)

    assert caught.value.field_errors == {"stop": [STOP]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop", "a"),
        ("stop", ""),
        ("stop", ["a", "b", "c", "d"]),
        ("metadata", {}),
        ("metadata", {str(n): "x" for n in range(16)}),
        ("logit_bias", {"50256": -100, "1": 0}),
        ("stream_options", {}),
        ("stream_options", {"include_usage": True}),
        ("stream_options", {"include_usage": None}),
        ("safety_identifier", "a" * 64),
        ("response_format", {"type": "text"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a"}}),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("tool_choice", {"type": "custom", "custom": {"name": "f"}}),
        (
            "tool_choice",
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}},
        ),
        ("anything else", object()),
    ],
)
def test_right(name: str, value: Any) -> None:
    assert shapes.wrong(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("stop", [], STOP),
        ("stop", ["a", "b", "c", "d", "e"], STOP),
        ("stop", [None], STOP),
        ("metadata", {str(n): "x" for n in range(17)}, "Expected object of at most 16 strings."),
        ("metadata", {"a": 1}, "Expected object of at most 16 strings."),
        ("logit_bias", {"a": 1.5}, "Expected object of integers."),
        ("logit_bias", {"a": True}, "Expected object of integers."),
        ("stream_options", {"include_usage": "yes"}, OPTIONS),
        ("stream_options", {"include_usage": 1}, OPTIONS),
        ("stream_options", {"include_useage": True}, OPTIONS),
        ("safety_identifier", "a" * 65, "Expected string of at most 64."),
        ("response_format", {}, FORMATS),
        ("response_format", {"type": "xml"}, FORMATS),
        ("response_format", {"type": ["text"]}, FORMATS),
        (
            "response_format",
            {"type": "json_schema"},
            "Expected object with json_schema (object with name).",
        ),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": 1}},
            "Expected object with json_schema (object with name).",
        ),
        ("tool_choice", "always", "Must be one of none, auto, required."),
        ("tool_choice", {}, CHOICE),
        ("tool_choice", {"type": "function", "name": "f"}, CHOICE),
        ("tool_choice", {"type": {}, "function": {"name": "f"}}, CHOICE),
        (
            "tool_choice",
            {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": []}},
            "Expected object with allowed_tools (object with mode and tools).",
        ),
    ],
)
def test_wrong(name: str, value: Any, text: str) -> None:
    assert shapes.wrong(name, value) == text
