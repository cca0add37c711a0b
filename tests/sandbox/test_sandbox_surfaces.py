"""Embeddings, legacy completions, moderations, responses, models."""

import base64
import json
import math
import struct
from typing import Any
from unittest.mock import ANY

import pytest

SHOWN_MODELS = 27


def post(provider: Any, surface: str, **body: Any) -> Any:
    return provider.call("POST", f"/v1/{surface}", body)


# -- embeddings ---------------------------------------------------------------------------------


def test_an_embedding(provider: Any) -> None:
    body = post(provider, "embeddings", model="text-embedding-3-small", input="Hello you").json()
    vector = body["data"][0]["embedding"]
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert len(vector) == 1536
    assert math.isclose(sum(value * value for value in vector), 1, abs_tol=1e-5)


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("text-embedding-ada-002", 1536),
        ("text-embedding-3-small", 1536),
        ("text-embedding-3-large", 3072),
        ("bge_multilingual_gemma2", 1024),
    ],
)
def test_sizes(provider: Any, model: str, size: int) -> None:
    body = post(provider, "embeddings", model=model, input="Hello").json()
    assert len(body["data"][0]["embedding"]) == size


def test_base64_is_the_same_vector(provider: Any) -> None:
    order = {"model": "text-embedding-3-large", "input": "Hello", "dimensions": 8}
    floats = post(provider, "embeddings", **order).json()["data"][0]["embedding"]
    packed = post(provider, "embeddings", **order, encoding_format="base64").json()
    assert list(struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"]))) == floats


def test_the_same_text_has_the_same_vector(provider: Any) -> None:
    order = {"model": "text-embedding-3-small", "input": ["one", "two", "one"], "dimensions": 4}
    first, second, third = (
        item["embedding"] for item in post(provider, "embeddings", **order).json()["data"]
    )
    assert first == third
    assert first != second


@pytest.mark.parametrize(
    ("source", "vectors", "tokens"),
    [("abcde", 1, 2), (["abcde", "a"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
def test_kinds_of_input(provider: Any, source: object, vectors: int, tokens: int) -> None:
    body = post(provider, "embeddings", model="text-embedding-3-small", input=source).json()
    assert [item["index"] for item in body["data"]] == list(range(vectors))
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 5]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": 5}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 1537}, "dimensions"),
        ({"dimensions": 4, "model": "text-embedding-ada-002"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_wrong_embedding_orders(provider: Any, change: dict[str, Any], param: str) -> None:
    order = {"model": "text-embedding-3-small", "input": "a", **change}
    answer = post(provider, "embeddings", **order)
    assert (answer.status, answer.json()["error"]["param"]) == (400, param)


# -- completions --------------------------------------------------------------------------------


def test_a_legacy_completion(provider: Any) -> None:
    answer = post(provider, "completions", model="gpt-3.5-turbo-instruct", prompt="Once", max_tokens=3)
    assert answer.json() == {
        "id": ANY,
        "object": "text_completion",
        "created": ANY,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"text": "[sandbox] gp", "index": 0, "logprobs": None, "finish_reason": "length"}],
        "system_fingerprint": "fp_sandbox",
        "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
    }


def test_completions_of_several_prompts(provider: Any) -> None:
    order = {"model": "m", "prompt": ["One", "Two"], "n": 2, "max_tokens": 1, "echo": True}
    body = post(provider, "completions", **order).json()
    assert [choice["text"] for choice in body["choices"]] == ["One[san"] * 2 + ["Two[san"] * 2
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_a_completion_has_sixteen_tokens_unless_asked(provider: Any) -> None:
    body = post(provider, "completions", model="m", prompt="One").json()
    assert body["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize("surface", ["completions", "responses"])
def test_only_chat_is_streamed(provider: Any, surface: str) -> None:
    answer = post(provider, surface, model="m", prompt="One", input="One", stream=True)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "stream")


# -- moderations --------------------------------------------------------------------------------


def test_a_moderation(provider: Any) -> None:
    body = post(provider, "moderations", input=["fine", "bad [flag]"]).json()
    assert body["id"].startswith("modr-sandbox-")
    assert body["model"] == "omni-moderation-latest"
    assert [result["flagged"] for result in body["results"]] == [False, True]
    bad = body["results"][1]
    assert [name for name, hit in bad["categories"].items() if hit] == ["violence"]
    assert len(bad["categories"]) == 13
    assert bad["category_scores"].keys() == bad["categories"].keys()
    assert bad["category_applied_input_types"] == {name: ["text"] for name in bad["categories"]}


def test_a_moderation_of_parts_has_one_result(provider: Any) -> None:
    parts = [{"type": "text", "text": "a [flag]"}, {"type": "image_url", "image_url": {}}]
    results = post(provider, "moderations", input=parts).json()["results"]
    assert [result["flagged"] for result in results] == [True]


# -- responses ----------------------------------------------------------------------------------


def test_a_response(provider: Any) -> None:
    order = {"model": "gpt-4o", "input": "Hi [tokens=9]", "metadata": {"a": "b"}}
    body = post(provider, "responses", **order, instructions="Be kind").json()
    assert body == {
        "id": ANY,
        "object": "response",
        "created_at": ANY,
        "completed_at": ANY,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4o",
        "output": [
            {
                "type": "message",
                "id": ANY,
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": ANY, "annotations": [], "logprobs": []}],
            }
        ],
        "service_tier": "default",
        "usage": {
            "input_tokens": 3 + 2 + 3 + 4,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 21,
        },
        "instructions": "Be kind",
        "max_output_tokens": None,
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }
    text = body["output"][0]["content"][0]["text"]
    assert text == "[sandbox] gpt-4o echoes: Hi. mend m."


def test_a_response_of_a_reasoning_model_that_is_cut(provider: Any) -> None:
    order = {"model": "gpt-5.6-sol", "input": [{"role": "user", "content": "Hi"}]}
    body = post(provider, "responses", **order, max_output_tokens=70, reasoning={"effort": "medium"}).json()
    assert [item["type"] for item in body["output"]] == ["reasoning", "message"]
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["usage"]["output_tokens"] == 70
    assert body["usage"]["output_tokens_details"] == {"reasoning_tokens": 64}


def test_a_structured_response(provider: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    body = post(provider, "responses", model="gpt-4o", input="Hi", text=wanted).json()
    assert json.loads(body["output"][0]["content"][0]["text"]) == {"a": 1}


# -- models -------------------------------------------------------------------------------------


def test_models(provider: Any) -> None:
    body = provider.call("GET", "/v1/models").json()
    assert body["object"] == "list"
    assert len(body["data"]) == SHOWN_MODELS
    assert {"gpt-4o", "gpt-5.6-sol", "moonshotai/Kimi-K2.6"} < {item["id"] for item in body["data"]}


@pytest.mark.parametrize("path", ["moonshotai/Kimi-K2.6", "moonshotai%2FKimi-K2.6"])
def test_a_model(provider: Any, path: str) -> None:
    assert provider.call("GET", f"/v1/models/{path}").json() == {
        "id": "moonshotai/Kimi-K2.6",
        "object": "model",
        "created": 1763596800,
        "owned_by": "infomaniak",
        "shutdown_date": None,
    }


UNKNOWN = {
    "error": {
        "message": "The model `gpt-does-not-exist` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
}


def test_an_unknown_model(provider: Any) -> None:
    answer = provider.call("GET", "/v1/models/gpt-does-not-exist")
    assert (answer.status, answer.json()) == (404, UNKNOWN)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_for_an_unknown_model(provider: Any, stream: bool) -> None:
    answer = provider.chat("Hi", model="gpt-does-not-exist", stream=stream)
    assert (answer.status, answer.json()) == (404, UNKNOWN)


def test_a_response_of_an_unknown_model(provider: Any) -> None:
    answer = post(provider, "responses", model="gpt-does-not-exist", input="Hi")
    assert (answer.status, answer.json()["error"]["code"]) == (400, "model_not_found")


def test_infomaniaks_models(provider: Any) -> None:
    body = provider.call("GET", "/1/ai/models").json()
    assert body["result"] == "success"
    assert body["data"][0] == {
        "id": 1,
        "name": "moonshotai/Kimi-K2.6",
        "type": "llm",
        "info_status": "ready",
    }
    assert [row["type"] for row in body["data"]] == [*["llm"] * 5, "embedding"]
    assert provider.call("GET", "/1/ai/models", key=None).status == 401
