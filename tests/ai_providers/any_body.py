"""Bodies for every model: legal ones, nearly legal ones, and anything at all."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ai_providers.catalogue import loading
from ai_providers.domain.spec import ModelSpec, ParamRule

#: A machine that is busy with other tests is not a fault.
PATIENT = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
MODELS = loading.models()
#: What the hub can call.
CALLED = [spec for spec in MODELS.values() if spec.kind in ("chat", "embeddings")]
NAMES = sorted({name for spec in MODELS.values() for name in (*spec.params, *spec.forbidden)})
WORDS = sorted(
    "user assistant system developer tool function text image_url input_audio file refusal auto none"
    " json_object json_schema custom file_search low medium high float base64".split()
)
KEYS = sorted(
    "role content name tool_calls tool_call_id type text image_url function custom json_schema refusal"
    " include_usage audio mode id arguments".split()
)

texts = st.text(max_size=8) | st.sampled_from(WORDS)
some_text = texts.filter(bool)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts
#: Any JSON value, with the words that the hub knows more often than chance would have them.
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def some(**optional: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """An object with some of these keys."""
    return st.fixed_dictionaries({}, optional=optional)


def tagged(kind: str, held: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """``{type: kind, kind: …}``, as parts and tools are written."""
    return st.fixed_dictionaries({"type": st.just(kind), kind: held})


named = st.fixed_dictionaries({"name": some_text})
text_parts = tagged("text", texts)
parts = {
    "user": text_parts
    | tagged("image_url", st.fixed_dictionaries({"url": st.just("http://a.example/b.png")}))
    | tagged("file", some(file_id=texts, filename=texts)),
    "assistant": text_parts | tagged("refusal", texts),
}
calls = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
    }
) | st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("custom"),
        "custom": st.fixed_dictionaries({"name": texts, "input": texts}),
    }
)
tools = tagged("function", named) | tagged("custom", named)

#: Legal values of the parameters whose shape matters.
SHAPES: dict[str, SearchStrategy[Any]] = {
    "stop": texts | st.lists(texts, min_size=1, max_size=4),
    "metadata": st.dictionaries(texts, texts, max_size=3),
    "logit_bias": st.dictionaries(texts, st.integers(-100, 100), max_size=3),
    "stream_options": some(include_usage=st.booleans()),
    "response_format": st.fixed_dictionaries({"type": st.sampled_from(["text", "json_object"])})
    | tagged("json_schema", named),
    "tools": st.lists(tools, max_size=3),
    "tool_choice": st.sampled_from(["none", "auto", "required"]) | tools,
    "input": some_text
    | st.lists(some_text, min_size=1, max_size=4)
    | st.lists(st.integers(0, 99), min_size=1, max_size=4)
    | st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=3), min_size=1, max_size=3),
}


@st.composite
def turns(draw: st.DrawFn, spec: ModelSpec) -> dict[str, Any]:
    """A legal message."""
    role = draw(st.sampled_from(sorted(spec.roles)))
    in_parts = text_parts if spec.content == "string" else parts.get(role, text_parts)
    content = texts if role == "function" else texts | st.lists(in_parts, min_size=1, max_size=3)
    turn: dict[str, Any] = {"role": role, "content": draw(content)}
    if role == "tool":
        turn["tool_call_id"] = draw(some_text)
    if role == "function" or draw(st.booleans()):
        turn["name"] = draw(some_text)
    if role == "assistant" and draw(st.booleans()):
        turn |= {"tool_calls": draw(st.lists(calls, min_size=1, max_size=2)), "content": None}
    return turn


def value_of(spec: ModelSpec, rule: ParamRule) -> SearchStrategy[Any]:
    """A legal value of a parameter."""
    if rule.name == "messages":
        return st.lists(turns(spec), min_size=1, max_size=3)
    if rule.only or rule.choices:
        return st.sampled_from(rule.only or rule.choices)
    if rule.name in SHAPES:
        return SHAPES[rule.name]
    if rule.types == ("boolean",):
        return st.booleans()
    if rule.types in (("number",), ("integer",)):
        return st.integers(int(rule.minimum or 0), int(rule.maximum or 1000))
    return texts


@st.composite
def legal(draw: st.DrawFn) -> tuple[ModelSpec, dict[str, Any]]:
    """A model that can be called and a body that it takes, but for conditions between parameters."""
    spec = draw(st.sampled_from(CALLED))
    chosen = [
        rule for rule in spec.params.values() if rule.name in spec.required or draw(st.integers(0, 3)) == 0
    ]
    return spec, {rule.name: draw(value_of(spec, rule)) for rule in chosen}


@st.composite
def nearly_legal(draw: st.DrawFn) -> tuple[ModelSpec, dict[str, Any]]:
    """The same with something wrong in it, perhaps deep inside, perhaps harmless."""
    spec, body = draw(legal())
    node: Any = body
    for _ in range(draw(st.sampled_from([0, 2, 3, 4, 5]))):
        inside = [k for k, v in _items(node) if isinstance(v, dict | list) and v]
        if not inside:
            break
        node = node[draw(st.sampled_from(inside))]
    keys = [key for key, _ in _items(node)]
    key = draw(st.sampled_from(keys))
    if isinstance(node, dict) and draw(st.integers(0, 3)) == 0:
        node.pop(key)
        key = draw(st.sampled_from(KEYS) | texts)
    node[key] = draw(values)
    return spec, body


def _items(node: Any) -> list[tuple[Any, Any]]:
    return list(node.items()) if isinstance(node, dict) else list(enumerate(node))


#: Anything: mostly refused at the first glance.
bodies = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=6), values | st.integers(0, 3), max_size=5
)
anything = nearly_legal() | st.tuples(st.sampled_from(list(MODELS.values())), bodies)
