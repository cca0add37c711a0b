"""Whatever JSON a client sends, it is answered or refused by name: nothing else may happen."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import faults, prompts
from sandbox.calls import Calls
from sandbox.errors import ApiError, infomaniak_body, openai_body

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-3, 3) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYWORDS = (
    "type",
    "enum",
    "const",
    "properties",
    "items",
    "minItems",
    "$ref",
    "$defs",
    "anyOf",
    "allOf",
    "required",
    "minimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "format",
)
KINDS = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "#"])
SCHEMAS = st.recursive(
    SCALARS | KINDS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5)
    ),
    max_leaves=12,
)
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "boss"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": JSON}) | JSON, max_size=3)
FUNCTIONS = st.fixed_dictionaries({"name": st.text(max_size=5) | JSON, "parameters": SCHEMAS})
TOOLS = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": FUNCTIONS}) | JSON, max_size=2
)
FORMATS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["text", "json_object", "json_schema"]),
        "json_schema": st.fixed_dictionaries({"schema": SCHEMAS}) | JSON,
        "schema": SCHEMAS,
    }
)
HI = {"role": "user", "content": "Hi"}
VALID = {"model": "gpt-4o", "messages": [HI], "input": "Hi", "prompt": "Hi"}
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": JSON,
    "messages": MESSAGES,
    "input": MESSAGES | JSON,
    "prompt": JSON,
    "instructions": JSON,
    "n": st.integers(-1, 3) | JSON,
    "max_tokens": st.integers(-1, 9) | JSON,
    "max_output_tokens": st.integers(-1, 9) | JSON,
    "stop": JSON,
    "seed": JSON,
    "tools": TOOLS,
    "tool_choice": st.just("required") | JSON,
    "response_format": FORMATS | JSON,
    "text": st.fixed_dictionaries({"format": FORMATS | JSON}) | JSON,
    "reasoning": st.dictionaries(st.just("effort"), JSON) | JSON,
    "reasoning_effort": JSON,
    "service_tier": JSON,
    "stream_options": JSON,
    "dimensions": st.integers(-1, 9) | JSON,
    "encoding_format": JSON,
}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A good body with one or two fields that may be anything."""
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=2))
    return {**VALID, **{name: draw(FIELDS[name]) for name in names}}


SURFACES = ["chat/completions", "completions", "embeddings", "moderations", "responses"]


@pytest.mark.parametrize("surface", SURFACES)
@settings(max_examples=100, deadline=None)
@given(body=bodies())
def test_any_body(surface: str, body: dict[str, Any]) -> None:
    prompts.prompt_text(body)
    try:
        assert isinstance(Calls().answer(surface, body, faults.NO_FAULT, 0), dict)
    except ApiError as error:
        assert error.status in (400, 404)
        openai_body(error)
        infomaniak_body(error)


@settings(max_examples=200, deadline=None)
@given(schema=SCHEMAS)
def test_any_schema(schema: Any) -> None:
    function = {"name": "f", "parameters": schema}
    body = {**VALID, "tools": [{"type": "function", "function": function}]}
    with suppress(ApiError):
        Calls().answer("chat/completions", {**body, "tool_choice": "required"}, faults.NO_FAULT, 0)


@given(spec=st.text(max_size=30))
def test_any_spec(spec: str) -> None:
    with suppress(ApiError):
        faults.parse(spec)
