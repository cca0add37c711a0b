"""What leaves for OpenAI and what is said in its words, against OpenAI's own specification."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ai_openai.domain import chat, listing
from ai_providers.adapters.openai import OpenAI
from ai_providers.catalogue import loading
from ai_providers.domain import params
from ai_providers.domain.gathering import Gathered
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Call
from megahub.kernel import errors, surfaces
from megahub.kernel.errors import HubError, InvalidParameterForModel
from tests.ai_providers import any_body
from tests.wire.replay import data_of, recorded

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
SCHEMAS = json.loads((HERE / "schemas.json").read_text())["schemas"]

CHAT = [m.id for m in loading.models().values() if m.provider == "openai" and m.kind == "chat"]
EMBEDDINGS = [m.id for m in loading.models().values() if m.provider == "openai" and m.kind == "embeddings"]

FUNCTION = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
CUSTOM = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}
SCHEMA = {"name": "answer", "strict": True, "schema": {"type": "object", "properties": {}}}

#: Legal values, more than one where forms differ.
VALUES: dict[str, list[Any]] = {
    "max_tokens": [1, 5],
    "max_completion_tokens": [1, 5],
    "temperature": [0, 0.5, 2],
    "top_p": [0, 1, 0.5],
    "presence_penalty": [-2, 2, 0.5],
    "frequency_penalty": [-2, 2, 0.5],
    "logprobs": [True, False],
    "top_logprobs": [0, 20],
    "logit_bias": [{"50256": -100}],
    "stop": ["END", ["a", "b", "c", "d"]],
    "seed": [0, -1, 2**62],
    "n": [1, 128],
    "stream": [True, False],
    "stream_options": [{"include_usage": True}],
    "verbosity": ["low", "medium", "high"],
    "tools": [[FUNCTION], [CUSTOM], [FUNCTION, CUSTOM]],
    "tool_choice": [
        "none",
        "auto",
        "required",
        {"type": "function", "function": {"name": "get_weather"}},
        {"type": "custom", "custom": {"name": "sql"}},
    ],
    "parallel_tool_calls": [True, False],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": SCHEMA},
    ],
    "metadata": [{"project": "hub"}],
    "store": [True, False],
    "user": ["user-1"],
    "safety_identifier": ["a" * 64],
    "prompt_cache_key": ["key"],
    "service_tier": ["auto", "default"],
    # Embeddings.
    "encoding_format": ["float", "base64"],
    "dimensions": [1, 256],
}
INPUTS = ["text", ["one", "two"], [1, 2, 3], [[1, 2], [3]]]

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
USER = {"role": "user", "content": "Hello"}
CONVERSATIONS: dict[str, list[Any]] = {
    "minimal": [USER],
    "system": [{"role": "system", "content": "Be kind."}, USER],
    "developer": [{"role": "developer", "content": "Be kind.", "name": "boss"}, USER],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}],
    "audio": [
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}],
        }
    ],
    "file": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
    "tools": [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
        {"role": "assistant", "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Rain."}]},
    ],
    "function": [USER, {"role": "function", "name": "get_weather", "content": "Sunny."}],
    "refusal": [
        USER,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": None, "refusal": "No."},
        USER,
    ],
    "empty": [{"role": "user", "content": ""}],
}


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(SCHEMAS[name])


def check(name: str, value: Any) -> None:
    """Fails with the first thing that does not fit, in a few words."""
    error = jsonschema.exceptions.best_match(validator(name).iter_errors(json.loads(json.dumps(value))))
    assert error is None, f"{error.json_path}: {error.message[:300]}"


def names_of(schema: Any) -> set[str]:
    """The properties that a request knows, whichever part of the schema names them."""
    own = set(schema.get("properties", {}))
    return own.union(*(names_of(part) for part in schema.get("allOf", ())))


def sent(spec: ModelSpec, body: dict[str, Any], *, with_defaults: bool = False) -> dict[str, Any]:
    """A caller's body as it leaves for the provider."""
    found = params.clean(spec, {"model": spec.id, **body}, with_defaults=with_defaults)
    endpoint = "embeddings" if spec.kind == "embeddings" else "chat"
    call = Call(endpoint, spec.id, found.params, found.stream)  # type: ignore[arg-type]
    return OpenAI().to_wire(call, spec)


def check_request(spec: ModelSpec, body: dict[str, Any]) -> None:
    for with_defaults in (False, True):
        found = sent(spec, body, with_defaults=with_defaults)
        name = "embeddings_request" if spec.kind == "embeddings" else "chat_request"
        check(name, found)
        assert set(found) <= names_of(SCHEMAS[name])


def bodies(spec: ModelSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each accepted parameter at each legal value, its condition met."""
    for name, rule in spec.params.items():
        if name in ("messages", "input"):
            continue
        values = list(rule.only) or VALUES.get(name) or list(rule.choices)
        for value in values:
            body = {name: value, **{other: needed[0] for other, needed in rule.needs.items()}}
            if name == "top_logprobs":
                body["logprobs"] = True
            yield name, body


def test_it_works() -> None:
    spec = loading.models()["o3"]

    found = sent(spec, {"messages": [{"role": "system", "content": "Hi"}], "max_tokens": 9, "stream": True})

    assert found == {
        "model": "o3",
        "messages": [{"role": "developer", "content": [{"type": "text", "text": "Hi"}]}],
        "max_completion_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    check("chat_request", found)


@pytest.mark.parametrize("model", CHAT)
def test_conversations(model: str) -> None:
    spec = loading.models()[model]
    for name, messages in CONVERSATIONS.items():
        if {message["role"] for message in messages} <= set(spec.roles):
            check_request(spec, {"messages": messages})
        else:
            assert model == "o1-mini", name


@pytest.mark.parametrize("model", CHAT)
def test_parameters(model: str) -> None:
    """Each on its own."""
    spec = loading.models()[model]
    for name, body in bodies(spec):
        kind = body["response_format"]["type"] if name == "response_format" else ""
        unmet = [e for e in (body.get("reasoning_effort"),) if e and e not in spec.reasoning_efforts]
        if kind in spec.refused_formats or unmet:
            with pytest.raises(HubError):
                sent(spec, {"messages": [USER], **body})
            continue
        check_request(spec, {"messages": [USER], **body})


@pytest.mark.parametrize("model", CHAT)
def test_all_parameters_together(model: str) -> None:
    spec = loading.models()[model]
    refused = {"max_tokens"} if "max_completion_tokens" in spec.params else set()
    body: dict[str, Any] = {"messages": CONVERSATIONS["minimal"]}
    for name, part in bodies(spec):
        if name in refused or not set(part) <= set(spec.params):
            continue
        if "none" not in spec.reasoning_efforts and "reasoning_effort" in spec.params[name].needs:
            continue
        body = {**part, **body}

    assert set(body) >= set(spec.params) - refused - {"tools"}
    check_request(spec, body)


@settings(any_body.PATIENT, max_examples=500)
@given(drawn=any_body.legal() | any_body.nearly_legal(), with_defaults=st.booleans())
def test_what_is_let_through(drawn: tuple[ModelSpec, dict[str, Any]], with_defaults: bool) -> None:
    """Whatever ``clean`` lets through is a request by the specification: nothing leaves to be refused."""
    spec, body = drawn
    assume(spec.provider == "openai")
    name = "embeddings_request" if spec.kind == "embeddings" else "chat_request"
    try:
        found = sent(spec, body, with_defaults=with_defaults)
    except HubError:
        return
    check(name, found)
    assert set(found) <= names_of(SCHEMAS[name])


@pytest.mark.parametrize("model", ["gpt-6-astra", "gpt-6.1-sol"])
def test_models_that_always_reason_take_no_tools(model: str) -> None:
    spec = loading.models()[model]

    with pytest.raises(InvalidParameterForModel) as caught:
        sent(spec, {"messages": [USER], "tools": [FUNCTION]})

    assert caught.value.facts["invalid_params"] == ["tools"]


@pytest.mark.parametrize("model", EMBEDDINGS)
def test_embeddings(model: str) -> None:
    spec = loading.models()[model]
    for source in INPUTS:
        check_request(spec, {"input": source})
        for _, body in bodies(spec):
            check_request(spec, {"input": source, **body})


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.json")), ids=lambda file: file.name)
def test_recorded_answers(file: Path) -> None:
    """The recordings are what OpenAI could have said."""
    name = {"embeddings.json": "embeddings_response", "models.json": "models"}.get(
        file.name, "chat_response"
    )
    check(name, recorded(RECORDED, file.name))


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.sse")), ids=lambda file: file.name)
def test_recorded_streams(file: Path) -> None:
    """Each chunk, and the completion that they add up to."""
    call = Call("chat", "gpt-4o", {"messages": [USER]}, stream=True)
    gathered = Gathered(call)
    for data in data_of(file.read_bytes()):
        check("error" if "error" in data else "chat_chunk", data)
        gathered.add(data)

    whole = gathered.completion().body
    for choice in whole["choices"]:
        # A stream that was cut has no reason for its end; the specification knows no such answer.
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    check("chat_response", whole)


@pytest.mark.parametrize("file", sorted(RECORDED.glob("chat_*.json")), ids=lambda file: file.name)
def test_replays(file: Path) -> None:
    """A replay of an Idempotency-Key to a caller that streams: whole answers as chunks."""
    body = recorded(RECORDED, file.name)
    call = Call("chat", "gpt-4o", {"messages": [USER]}, stream=True)
    gathered = Gathered(call)

    for data in chat.replayed_chunks(body):
        check("chat_chunk", data)
        gathered.add(data)

    again = gathered.completion().body
    assert again["usage"] == body["usage"]
    for choice, original in zip(again["choices"], body["choices"], strict=True):
        original["message"].pop("annotations", None)
        assert choice["message"] == original["message"]
        assert choice["finish_reason"] == original["finish_reason"]
        assert choice.get("logprobs") == original.get("logprobs")


def test_list_of_models() -> None:
    specs = loading.models().values()

    check("models", {"object": "list", "data": [listing.short_form(spec) for spec in specs]})


@pytest.mark.parametrize("kind", [*errors.type_registry.values(), HubError], ids=lambda kind: kind.__name__)
def test_errors(kind: type[HubError]) -> None:
    """Every error of the tree can be said in OpenAI's words."""
    check("error", surfaces.openai(kind(), str, "r"))
    check("error", surfaces.openai(kind(param="a", field_errors={"a": ["b"]}), str, "r"))
