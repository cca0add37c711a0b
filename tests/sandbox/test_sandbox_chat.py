"""POST /v1/chat/completions, not streamed."""

import json
from typing import Any
from unittest.mock import ANY

import pytest

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"const": "Geneva"}, "days": {"type": "integer", "maximum": 0}},
            "required": ["city"],
        },
    },
}
OTHER_TOOL = {"type": "function", "function": {"name": "stop"}}
CALLED = {
    "id": ANY,
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Geneva","days":0}'},
}


def test_it_works(provider: Any) -> None:
    answer = provider.chat("Hello [tokens=10]")
    assert answer.status == 200
    assert answer.json() == {
        "id": "chatcmpl-sandbox-2d598ce885e31334e5cd9fae",
        "object": "chat.completion",
        "created": ANY,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "[sandbox] gpt-4o echoes: Hello. offer h.",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
        "usage": {
            "prompt_tokens": 8,
            "completion_tokens": 10,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }
    assert isinstance(answer.json()["created"], int)


def test_headers(provider: Any) -> None:
    headers = provider.chat("Hello").headers
    expected = {
        "content-type": "application/json",
        "openai-organization": "org-sandbox",
        "openai-version": "2020-10-01",
        "x-megahub-sandbox": "1",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "30000000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-remaining-tokens": "29999900",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "0s",
    }
    assert {name: headers[name] for name in expected} == expected
    assert headers["x-request-id"].startswith("req_")
    assert int(headers["openai-processing-ms"]) >= 0


def test_the_same_question_has_the_same_answer(provider: Any) -> None:
    first, again = provider.chat("Why?").json(), provider.chat("Why?").json()
    assert first["choices"] == again["choices"]
    assert first["id"] == again["id"]
    assert provider.chat("Why?", seed=5).json()["choices"] != first["choices"]
    assert provider.chat("Why?", model="gpt-4.1").json()["choices"] != first["choices"]


def test_n_choices(provider: Any) -> None:
    body = provider.chat("Hi [tokens=20]", n=3).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in body["choices"]}) == 3
    assert body["usage"]["completion_tokens"] == 60


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts(provider: Any, limit: str) -> None:
    body = provider.chat("Hello", **{limit: 5}).json()
    assert body["choices"][0]["message"]["content"] == "[sandbox] gpt-4o ech"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("stop", [" echoes", ["nowhere", " echoes"]])
def test_stop_cuts_before_the_sequence(provider: Any, stop: object) -> None:
    choice = provider.chat("Hello", stop=stop).json()["choices"][0]
    assert choice["message"]["content"] == "[sandbox] gpt-4o"
    assert choice["finish_reason"] == "stop"


def test_content_parts(provider: Any) -> None:
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    messages = [{"role": "user", "content": content}]
    body = provider.chat("", messages=messages).json()
    assert body["choices"][0]["message"]["content"].startswith("[sandbox] gpt-4o echoes: What is it?. ")
    assert body["usage"]["prompt_tokens"] == 3 + 3 + 85


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ("required", "Weather"),
        ({"type": "function", "function": {"name": "get_weather"}}, "Weather"),
        ("auto", "Weather [tool]"),
        (None, "Weather [tool]"),
    ],
)
def test_a_tool_is_called(provider: Any, choice: object, text: str) -> None:
    tools = [TOOL, OTHER_TOOL]
    body = provider.chat(text, tools=tools, tool_choice=choice).json()
    assert body["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [CALLED],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    # "get_weather" is 3 tokens, the arguments of 26 characters are 7.
    assert body["usage"]["completion_tokens"] == 10
    compact = json.dumps(tools, separators=(",", ":"))
    assert body["usage"]["prompt_tokens"] == 3 + -(-len(text) // 4) + -(-len(compact) // 4)


@pytest.mark.parametrize(("choice", "text"), [("auto", "Weather"), ("none", "Weather [tool]")])
def test_a_tool_is_not_called(provider: Any, choice: str, text: str) -> None:
    body = provider.chat(text, tools=[TOOL], tool_choice=choice).json()
    assert body["choices"][0]["finish_reason"] == "stop"


def test_the_result_of_a_tool_is_answered_in_words(provider: Any) -> None:
    messages = [
        {"role": "user", "content": "Weather [tool]"},
        {"role": "assistant", "content": None, "tool_calls": [{**CALLED, "id": "call_1"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    body = provider.chat("", messages=messages, tools=[TOOL]).json()
    assert body["choices"][0]["message"]["content"].startswith("[sandbox] gpt-4o echoes: Weather")


def test_a_tool_that_is_not_there_is_refused(provider: Any) -> None:
    choice = {"type": "function", "function": {"name": "absent"}}
    answer = provider.chat("Weather", tools=[TOOL], tool_choice=choice)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "tool_choice")


def test_json_object(provider: Any) -> None:
    body = provider.chat("Give JSON", response_format={"type": "json_object"}).json()
    content = json.loads(body["choices"][0]["message"]["content"])
    assert content == {"sandbox": True, "model": "gpt-4o", "echo": "Give JSON"}


def test_json_schema(provider: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 18}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    body = provider.chat("Who?", response_format=wanted).json()
    content = json.loads(body["choices"][0]["message"]["content"])
    assert sorted(content) == ["age", "name"]
    assert isinstance(content["name"], str)
    assert 18 <= content["age"] <= 118


@pytest.mark.parametrize(
    ("model", "effort", "reasoning"),
    [
        ("o3", None, 64),
        ("gpt-5.6-sol", "low", 32),
        ("gpt-6-luna", "max", 512),
        ("gpt-5.1", "none", 0),
        ("gpt-4o", "high", 0),
    ],
)
def test_reasoning(provider: Any, model: str, effort: str | None, reasoning: int) -> None:
    body = provider.chat("Think [tokens=20]", model=model, reasoning_effort=effort).json()
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == reasoning
    assert body["usage"]["completion_tokens"] == 20 + reasoning


def test_reasoning_eats_from_the_limit(provider: Any) -> None:
    body = provider.chat("Think", model="o3", max_completion_tokens=40).json()
    assert body["choices"][0]["message"]["content"] == ""
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 40
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 40


def test_a_long_prompt_is_cached_the_second_time(provider: Any) -> None:
    text = "a long prompt " * 300  # 4200 characters, 1050 tokens and 3 for the message
    first, again = provider.chat(text).json()["usage"], provider.chat(text).json()["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["prompt_tokens_details"]["cached_tokens"] == 1024
    assert again["prompt_tokens"] == 1053


@pytest.mark.parametrize(("asked", "told"), [("auto", "default"), ("flex", "flex")])
def test_service_tier(provider: Any, asked: str, told: str) -> None:
    assert provider.chat("Hi", service_tier=asked).json()["service_tier"] == told
