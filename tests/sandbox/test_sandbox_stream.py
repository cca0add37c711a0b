"""POST /v1/chat/completions with stream=true."""

from typing import Any
from unittest.mock import ANY

TOOL = {
    "type": "function",
    "function": {"name": "go", "parameters": {"type": "object", "properties": {"a": {"const": 1}}}},
}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> Any:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return envelope([choice])


def envelope(choices: list[Any], **more: Any) -> Any:
    return {
        "id": ANY,
        "object": "chat.completion.chunk",
        "created": ANY,
        "model": "gpt-4o",
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
        **more,
    }


ROLE = {"role": "assistant", "content": "", "refusal": None}


def test_it_works(provider: Any) -> None:
    answer = provider.chat("Hello", stream=True, max_tokens=2)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.events() == [
        chunk(ROLE),
        chunk({"content": "[san"}),
        chunk({"content": "dbox"}),
        chunk({}, "length"),
        "[DONE]",
    ]


def test_usage_comes_last(provider: Any) -> None:
    options = {"include_usage": True}
    events = provider.chat("Hi", stream=True, stream_options=options, max_tokens=1).events()
    usage = provider.chat("Hi", max_tokens=1).json()["usage"]
    assert events == [
        {**chunk(ROLE), "usage": None},
        {**chunk({"content": "[san"}), "usage": None},
        {**chunk({}, "length"), "usage": None},
        envelope([], usage=usage),
        "[DONE]",
    ]


def test_the_chunks_make_the_whole_answer(provider: Any) -> None:
    whole = provider.chat("Tell me").json()
    events = provider.chat("Tell me", stream=True).events()[:-1]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert text == whole["choices"][0]["message"]["content"]
    assert {event["id"] for event in events} == {whole["id"]}


def test_n_choices_take_turns(provider: Any) -> None:
    assert provider.chat("Hi", stream=True, n=2, max_tokens=1).events() == [
        chunk(ROLE, index=0),
        chunk(ROLE, index=1),
        chunk({"content": "[san"}, index=0),
        chunk({"content": "[san"}, index=1),
        chunk({}, "length", index=0),
        chunk({}, "length", index=1),
        "[DONE]",
    ]


def test_a_tool_call_in_pieces(provider: Any) -> None:
    events = provider.chat("Go", stream=True, tools=[TOOL], tool_choice="required").events()
    opening = {
        "index": 0,
        "id": ANY,
        "type": "function",
        "function": {"name": "go", "arguments": ""},
    }
    assert events == [
        chunk({"role": "assistant", "content": None, "tool_calls": [opening]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk({}, "tool_calls"),
        "[DONE]",
    ]


def test_a_wrong_request_is_refused_before_the_stream(provider: Any) -> None:
    answer = provider.chat("Hi", stream=True, temperature=3)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["param"] == "temperature"


def test_stream_options_need_a_stream(provider: Any) -> None:
    answer = provider.chat("Hi", stream_options={"include_usage": True})
    assert answer.status == 400
    assert answer.json()["error"] == {
        "message": "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "type": "invalid_request_error",
        "param": "stream_options",
        "code": None,
    }
