"""Reading what a provider reports, and making one answer of a stream's pieces."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_providers.domain.gathering import Gathered, guessed, report_of, usage_of
from ai_providers.domain.wire import Call, Completion, Usage
from tests.ai_providers.any_body import PATIENT, values

CALL = Call("chat", "gpt-4o", {"messages": [{"role": "user", "content": "Hello"}]}, stream=True)
MOST_INPUT = len("Hello") + 16
counts = st.integers(-5, 2000)
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06", "system_fingerprint": None}
REPORT = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def gather(*chunks: dict[str, Any]) -> Completion:
    gathered = Gathered(CALL)
    for data in chunks:
        gathered.add(data)
    return gathered.completion()


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> Any:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], **more}


def test_it_works() -> None:
    found = gather(
        chunk({"role": "assistant", "content": "", "refusal": None}, obfuscation="xY"),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}, usage=None),
        chunk(finish_reason="stop"),
        {**HEAD, "choices": [], "usage": REPORT},
    )

    assert found == Completion(
        body={
            **HEAD,
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello", "refusal": None},
                    "finish_reason": "stop",
                }
            ],
            "usage": REPORT,
        },
        usage=Usage(input=9, output=4),
        provider_id="chatcmpl-1",
        finish_reason="stop",
    )


class TestUsage:
    @pytest.mark.parametrize(
        ("reported", "usage"),
        [
            ({"prompt_tokens": 5}, Usage(input=5)),
            ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage()),
            (
                {
                    "prompt_tokens": 100,
                    "completion_tokens": 50,
                    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                    "completion_tokens_details": {"reasoning_tokens": 40},
                },
                Usage(input=10, cache_read=60, cache_write=30, output=10, reasoning=40),
            ),
            (
                {
                    "prompt_tokens": 5,
                    "completion_tokens": 5,
                    "prompt_tokens_details": None,
                    "completion_tokens_details": None,
                },
                Usage(input=5, output=5),
            ),
            # More than the whole, less than nothing, not a number: no class turns negative.
            (
                {
                    "prompt_tokens": 5,
                    "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 9},
                },
                Usage(cache_read=5),
            ),
            (
                {
                    "prompt_tokens": 5,
                    "completion_tokens": 3,
                    "completion_tokens_details": {"reasoning_tokens": 9},
                },
                Usage(input=5, reasoning=3),
            ),
            ({"prompt_tokens": -5, "completion_tokens": -1}, Usage()),
            ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": -3}}, Usage(input=5)),
            ({"prompt_tokens": 5, "completion_tokens": "many"}, Usage(input=5)),
            ({"prompt_tokens": 5, "completion_tokens": None}, Usage(input=5)),
            ({"prompt_tokens": 5, "prompt_tokens_details": []}, Usage(input=5)),
            ({"prompt_tokens": 5.0, "completion_tokens": 2.0}, Usage(input=5, output=2)),
        ],
    )
    def test_reported(self, reported: Any, usage: Usage) -> None:
        assert usage_of(reported) == usage

    @pytest.mark.parametrize(
        "reported",
        [None, {}, [], "9", 9, {"prompt_tokens": None}, {"prompt_tokens": "9"}, {"total_tokens": 9}],
    )
    def test_not_reported(self, reported: Any) -> None:
        assert usage_of(reported) is None

    @settings(PATIENT)
    @given(prompt=counts, completion=counts, read=counts, write=counts, reasoning=counts)
    def test_disjoint_and_whole(
        self, prompt: int, completion: int, read: int, write: int, reasoning: int
    ) -> None:
        """Whatever the parts claim: none is negative, and together they are the provider's totals."""
        usage = usage_of(
            {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            }
        )

        assert usage is not None
        classes = (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning)
        assert min(classes) >= 0
        assert usage.prompt_tokens == max(0, prompt)
        assert usage.completion_tokens == max(0, completion)
        assert usage.total_tokens == sum(classes)
        assert usage.estimated is False

    @settings(PATIENT)
    @given(reported=values)
    def test_anything(self, reported: Any) -> None:
        usage_of(reported)

    @settings(PATIENT)
    @given(st.builds(Usage, *[st.integers(0, 10**9)] * 5))
    def test_there_and_back(self, usage: Usage) -> None:
        """Nothing of a usage is lost when it is told in OpenAI's words."""
        assert usage_of(report_of(usage)) == usage
        assert report_of(usage)["total_tokens"] == usage.total_tokens


class TestGuessed:
    @pytest.mark.parametrize(
        ("message", "output"),
        [
            ({"content": "12345678"}, 2),
            ({"content": "12345678", "refusal": "1234"}, 3),
            ({"content": None, "reasoning_content": "12345678"}, 2),
            ({"content": None, "reasoning": "12345678"}, 2),
            ({"content": "1234", "reasoning_content": "12345678", "reasoning": "12345678"}, 3),
            ({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "12345"}}]}, 2),
            ({"content": None, "tool_calls": [{"custom": {"name": "f", "input": "12345"}}]}, 2),
            ({"content": "1234", "tool_calls": None}, 1),
            ({"content": "1234", "tool_calls": [None]}, 1),
            ({}, 0),
            (None, 0),
        ],
    )
    def test_output(self, message: Any, output: int) -> None:
        body = {"choices": [{"message": message}]}

        assert guessed(CALL, body) == Usage(input=MOST_INPUT, output=output, estimated=True)

    def test_every_choice_counts(self) -> None:
        body = {"choices": [{"message": {"content": "1234"}}, {"message": {"content": "1234"}}]}

        assert guessed(CALL, body).output == 2

    def test_a_stream_cut_short(self) -> None:
        found = gather(chunk({"content": "12345678"}))

        assert found.usage == Usage(input=MOST_INPUT, output=2, estimated=True)
        assert found.finish_reason is None
        assert found.body["usage"] == {
            "prompt_tokens": MOST_INPUT,
            "completion_tokens": 2,
            "total_tokens": MOST_INPUT + 2,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


class TestStreams:
    def test_nothing_was_said(self) -> None:
        found = gather()

        assert (found.body["choices"], found.provider_id, found.finish_reason) == ([], None, None)
        assert found.usage.estimated is True

    def test_the_last_report_counts(self) -> None:
        """Some providers report as they go."""
        more = {**REPORT, "completion_tokens": 5, "total_tokens": 14}
        found = gather(chunk({"content": "a"}, usage=REPORT), chunk(usage=more), chunk(usage=None))

        assert found.usage == Usage(input=9, output=5)
        assert found.body["usage"] == more

    def test_calls_of_tools(self) -> None:
        def calls(*deltas: dict[str, Any]) -> Any:
            return chunk({"tool_calls": list(deltas)})

        found = gather(
            calls({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
            calls({"index": 0, "function": {"arguments": '{"x":'}}),
            calls(
                {"index": 0, "function": {"arguments": "1}"}},
                {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ),
            calls({"index": 2, "id": "c", "type": "custom", "custom": {"name": "sql", "input": "SEL"}}),
            calls({"index": 2, "custom": {"input": "ECT"}}),
        )

        assert found.body["choices"][0]["message"]["tool_calls"] == [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}},
        ]

    @settings(PATIENT, max_examples=100)
    @given(st.lists(values.map(lambda value: {"choices": value}) | st.dictionaries(st.text(), values)))
    def test_anything(self, chunks: list[dict[str, Any]]) -> None:
        """A provider out of its mind is not a reason to lose what was said."""
        gather(*chunks)

    @settings(PATIENT, max_examples=300)
    @given(
        st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": values | st.integers(0, 3),
                    "delta": values
                    | st.fixed_dictionaries(
                        {},
                        optional={
                            "content": values,
                            "role": values,
                            "tool_calls": values
                            | st.lists(
                                st.fixed_dictionaries(
                                    {},
                                    optional={
                                        "index": values | st.integers(0, 3),
                                        "function": values,
                                        "custom": values,
                                        "id": values,
                                    },
                                )
                            ),
                        },
                    ),
                    "logprobs": values,
                    "finish_reason": values,
                },
            ),
            max_size=6,
        )
    )
    def test_any_choices(self, choices: list[dict[str, Any]]) -> None:
        found = gather(*({"choices": [choice]} for choice in choices))

        assert found.usage.output >= 0
        assert [choice["index"] for choice in found.body["choices"]] == sorted(
            {choice["index"] for choice in found.body["choices"]}
        )


# A whole answer, and the ways to say it piece by piece -------------------------------------------

texts = st.text(max_size=12)
logprobs = st.none() | st.fixed_dictionaries(
    {
        "content": st.lists(st.fixed_dictionaries({"token": texts}), min_size=1, max_size=3),
        "refusal": st.none(),
    }
)
functions = st.fixed_dictionaries(
    {
        "id": texts.filter(bool),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
    }
)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | texts, "refusal": st.none() | texts},
    optional={
        "tool_calls": st.lists(functions, min_size=1, max_size=3),
        "reasoning_content": texts.filter(bool),
    },
)
finishes = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "message": draw(messages),
            "logprobs": draw(logprobs),
            "finish_reason": draw(finishes),
        }
        for index in range(draw(st.integers(1, 3)))
    ]
    return {**HEAD, "object": "chat.completion", "choices": choices, "usage": REPORT}


@st.composite
def said_in_pieces(draw: st.DrawFn, whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a stream that says ``whole``, its choices taking turns at random."""
    queues = [draw(_of_choice(choice)) for choice in whole["choices"]]
    chunks = []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        chunks.append({**HEAD, "object": "chat.completion.chunk", "choices": [queue.pop(0)]})
    return [*chunks, {**HEAD, "choices": [], "usage": whole["usage"]}]


@st.composite
def _of_choice(draw: st.DrawFn, choice: dict[str, Any]) -> list[dict[str, Any]]:
    message = copy.deepcopy(choice["message"])
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "refusal": None}]
    for key in ("reasoning_content", "content", "refusal"):
        if message.get(key) is not None:
            deltas += [{key: piece} for piece in draw(_cut(message[key]))]
    for index, call in enumerate(message.get("tool_calls", ())):
        arguments = draw(_cut(call["function"].pop("arguments")))
        deltas.append({"tool_calls": [{"index": index, **call}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": a}}]} for a in arguments]
    pieces = [
        {"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": None}
        for delta in deltas
    ]
    for number, token in enumerate((choice["logprobs"] or {}).get("content", ())):
        piece = pieces[min(number, len(pieces) - 1)]
        before = (piece["logprobs"] or {}).get("content", [])
        piece["logprobs"] = {"content": [*before, token], "refusal": None}
    end = {"delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    return [*pieces, {"index": choice["index"], **end}]


@st.composite
def _cut(draw: st.DrawFn, text: str) -> list[str]:
    at = draw(st.integers(0, len(text)))
    return [text[:at], text[at:]]


@settings(PATIENT, max_examples=200)
@given(answers().flatmap(lambda whole: st.tuples(st.just(whole), said_in_pieces(whole))))
def test_the_pieces_add_up_to_the_whole(drawn: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """However it was said, the same completion comes of it."""
    whole, chunks = drawn

    found = gather(*chunks)

    assert found.body == whole
    assert found.usage == usage_of(REPORT)
    assert found.finish_reason == whole["choices"][0]["finish_reason"]
