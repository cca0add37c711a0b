"""Messages, tools and inputs: what is refused, by path, and what becomes of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from ai_providers.catalogue import loading
from ai_providers.domain import params
from ai_providers.domain.messages import ASSISTANTS_ARE_GONE, MAX_INPUTS, MAX_MESSAGES
from megahub.kernel.errors import ValidationFailed

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM_CALL = {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
IMAGE = {"type": "image_url", "image_url": {"url": "http://a.example/b.png"}}
TEXT = {"type": "text", "text": "a"}
REQUIRED = "This field is required."
OF_USERS = "Expected an object whose type is one of text, image_url, input_audio, file."


def clean(model: str, **given: Any) -> dict[str, Any]:
    return params.clean(loading.models()[model], given, with_defaults=False).params


def wrong(model: str, **given: Any) -> Any:
    """The field errors."""
    with pytest.raises(ValidationFailed) as caught:
        clean(model, **given)
    return caught.value.field_errors


def messages_of(model: str, *messages: dict[str, Any]) -> Any:
    """The messages as they are sent."""
    return clean(model, messages=list(messages))["messages"]


def test_it_works() -> None:
    given = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello", "name": "Anna"},
    ]

    assert messages_of("gpt-4o", *given) == given


class TestRoles:
    @pytest.mark.parametrize(
        ("model", "role", "sent"),
        [
            ("o3", "system", "developer"),
            ("o3", "developer", "developer"),
            ("gpt-5", "system", "developer"),
            ("gpt-6-luna", "system", "developer"),
            ("gpt-4.1", "system", "system"),
            ("gpt-4.1", "developer", "developer"),
            ("gpt-4o", "system", "system"),
            ("gpt-4o", "developer", "developer"),
            ("mixtral", "developer", "system"),
            ("moonshotai/Kimi-K2.6", "developer", "system"),
            ("o3", "user", "user"),
            ("o3", "assistant", "assistant"),
        ],
    )
    def test_as_the_model_knows_them(self, model: str, role: str, sent: str) -> None:
        (message,) = messages_of(model, {"role": role, "content": "a"})

        assert message["role"] == sent

    @pytest.mark.parametrize(
        ("model", "role", "known"),
        [
            ("o1-mini", "system", "user, assistant"),
            ("o1-mini", "developer", "user, assistant"),
            ("mixtral", "tool", "system, developer, user, assistant"),
            ("gpt-4o", "boss", "system, developer, user, assistant, tool, function"),
            ("gpt-4o", None, "system, developer, user, assistant, tool, function"),
            ("gpt-4o", ["user"], "system, developer, user, assistant, tool, function"),
            ("gpt-4o", "User", "system, developer, user, assistant, tool, function"),
        ],
    )
    def test_unknown(self, model: str, role: Any, known: str) -> None:
        found = wrong(model, messages=[{"role": "user", "content": "a"}, {"role": role, "content": "b"}])

        assert found == {"messages[1].role": [f"Must be one of {known}."]}


class TestContent:
    @pytest.mark.parametrize("model", ["o3", "gpt-4.1", "gpt-5", "gpt-6-luna"])
    def test_new_models_get_parts(self, model: str) -> None:
        assert messages_of(model, {"role": "user", "content": "a"}) == [{"role": "user", "content": [TEXT]}]
        assert messages_of(model, {"role": "user", "content": [TEXT, IMAGE]}) == [
            {"role": "user", "content": [TEXT, IMAGE]}
        ]

    @pytest.mark.parametrize("model", ["gpt-4o", "gpt-3.5-turbo", "moonshotai/Kimi-K2.6"])
    def test_legacy_models_get_what_was_given(self, model: str) -> None:
        for content in ("a", "", [TEXT]):
            assert messages_of(model, {"role": "user", "content": content}) == [
                {"role": "user", "content": content}
            ]

    def test_text_models_get_strings(self) -> None:
        (message,) = messages_of("mixtral", {"role": "user", "content": [TEXT, {**TEXT, "text": "b"}]})

        assert message == {"role": "user", "content": "a\nb"}
        found = wrong("mixtral", messages=[{"role": "user", "content": [TEXT, IMAGE]}])
        assert found == {"messages[0].content[1]": ["Model mixtral takes text only."]}

    def test_results_of_functions_stay_texts(self) -> None:
        """OpenAI's role `function` of old takes a string, whatever the model."""
        message = {"role": "function", "name": "f", "content": "12"}

        assert messages_of("gpt-4.1", message) == [message]

    def test_null_keys_are_absent(self) -> None:
        """SDKs tell their answers back with everything that was null in them."""
        told = {"role": "assistant", "content": "a", "refusal": None, "tool_calls": None, "audio": None}

        assert messages_of("gpt-4o", told) == [{"role": "assistant", "content": "a"}]

    def test_calls_without_content(self) -> None:
        for given in ({"content": None}, {}):
            assert messages_of("o3", {"role": "assistant", **given, "tool_calls": [CALL, CUSTOM_CALL]}) == [
                {"role": "assistant", "content": None, "tool_calls": [CALL, CUSTOM_CALL]}
            ]

    @pytest.mark.parametrize(
        ("message", "path", "text"),
        [
            ("a", "", "Expected object."),
            (None, "", "Expected object."),
            ({"role": "user"}, ".content", REQUIRED),
            ({"role": "user", "content": None}, ".content", REQUIRED),
            ({"role": "user", "content": None, "tool_calls": [CALL]}, ".content", REQUIRED),
            ({"role": "assistant", "content": None}, ".content", REQUIRED),
            ({"role": "assistant", "content": None, "tool_calls": []}, ".content", REQUIRED),
            ({"role": "user", "content": 3}, ".content", "Expected string | array of parts."),
            ({"role": "user", "content": []}, ".content", "Expected string | array of parts."),
            ({"role": "user", "content": {}}, ".content", "Expected string | array of parts."),
            ({"role": "user", "content": [TEXT, "a"]}, ".content[1]", OF_USERS),
            ({"role": "user", "content": [{"type": "video"}]}, ".content[0]", OF_USERS),
            ({"role": "user", "content": [{"type": []}]}, ".content[0]", OF_USERS),
            ({"role": "user", "content": [{"type": "text"}]}, ".content[0]", "A text part needs a text."),
            (
                {"role": "user", "content": [{"type": "image_url", "image_url": "http://a"}]},
                ".content[0]",
                "An image_url part needs an object image_url.",
            ),
            (
                {"role": "user", "content": [{"type": "image_url", "image_url": {"detail": "low"}}]},
                ".content[0]",
                "An image_url part needs an object image_url.",
            ),
            (
                {"role": "user", "content": [{"type": "file", "file": "a"}]},
                ".content[0]",
                "Expected object with file.",
            ),
            (
                {"role": "system", "content": [IMAGE]},
                ".content[0]",
                "Expected an object whose type is one of text.",
            ),
            (
                {"role": "assistant", "content": [IMAGE]},
                ".content[0]",
                "Expected an object whose type is one of text, refusal.",
            ),
            ({"role": "tool", "content": "a"}, ".tool_call_id", REQUIRED),
            ({"role": "tool", "content": "a", "tool_call_id": 3}, ".tool_call_id", "Expected string."),
            ({"role": "function", "content": "a"}, ".name", REQUIRED),
            ({"role": "function", "content": [TEXT], "name": "f"}, ".content", "Expected string."),
            ({"role": "user", "content": "a", "name": 7}, ".name", "Expected string."),
            ({"role": "assistant", "content": "a", "refusal": []}, ".refusal", "Expected string."),
            ({"role": "user", "content": "a", "colour": "blue"}, ".colour", "Unknown field."),
            ({"role": "user", "content": "a", "base_url": "http://a"}, ".base_url", "Unknown field."),
        ],
    )
    def test_wrong(self, message: Any, path: str, text: str) -> None:
        assert wrong("gpt-4o", messages=[message]) == {f"messages[0]{path}": [text]}

    @pytest.mark.parametrize(
        ("calls", "path", "text"),
        [
            ("f", "", "Expected array."),
            (["f"], "[0].type", "Must be one of function, custom."),
            ([CALL, {**CALL, "type": {}}], "[1].type", "Must be one of function, custom."),
            ([{**CALL, "id": None}], "[0].id", "Expected string."),
            ([{**CALL, "function": "f"}], "[0].function.name", "Expected string."),
            ([{**CALL, "function": {"name": "f"}}], "[0].function.arguments", "Expected string."),
            (
                [{**CALL, "function": {"name": "f", "arguments": {}}}],
                "[0].function.arguments",
                "Expected string.",
            ),
            ([{**CUSTOM_CALL, "custom": {"name": "f"}}], "[0].custom.input", "Expected string."),
        ],
    )
    def test_wrong_calls(self, calls: Any, path: str, text: str) -> None:
        message = {"role": "assistant", "content": "a", "tool_calls": calls}

        assert wrong("gpt-4o", messages=[message]) == {f"messages[0].tool_calls{path}": [text]}

    def test_each_message_tells_its_own(self) -> None:
        found = wrong("gpt-4o", messages=[{"role": "user"}, {"role": "user", "content": "a"}, 3])

        assert found == {"messages[0].content": [REQUIRED], "messages[2]": ["Expected object."]}

    def test_how_many(self) -> None:
        message = {"role": "user", "content": "a"}

        assert wrong("gpt-4o", messages=[]) == {"messages": ["At least one message is needed."]}
        assert len(clean("gpt-4o", messages=[message] * MAX_MESSAGES)["messages"]) == 10_000
        assert wrong("gpt-4o", messages=[message] * (MAX_MESSAGES + 1)) == {
            "messages": ["At most 10000 messages."]
        }


class TestTools:
    USER = [{"role": "user", "content": "a"}]

    @pytest.mark.parametrize("kind", ["file_search", "code_interpreter", "retrieval"])
    def test_assistants_tools_are_gone(self, kind: str) -> None:
        """They stand in the endpoints' own example, so that the refusal says why and what instead."""
        found = wrong("gpt-4o", messages=self.USER, tools=[{"type": kind}])

        assert found == {
            "tools[0].type": [
                f"{kind} belonged to the Assistants API, which was shut down on 2026-08-26; use a function."
            ]
        }

    @pytest.mark.parametrize(
        ("tool", "path", "text"),
        [
            ("f", ".type", "Must be one of function, custom."),
            ({}, ".type", "Must be one of function, custom."),
            ({"type": "web_search"}, ".type", "Must be one of function, custom."),
            ({"type": ["function"]}, ".type", "Must be one of function, custom."),
            ({"type": "function"}, ".function.name", REQUIRED),
            ({"type": "function", "function": "f"}, ".function.name", REQUIRED),
            ({"type": "function", "function": {"name": 3}}, ".function.name", REQUIRED),
            ({"type": "function", "name": "f"}, ".function.name", REQUIRED),
            ({"type": "custom", "function": {"name": "f"}}, ".custom.name", REQUIRED),
        ],
    )
    def test_wrong(self, tool: Any, path: str, text: str) -> None:
        good = {"type": "function", "function": {"name": "f"}}

        assert wrong("gpt-4o", messages=self.USER, tools=[good, tool]) == {f"tools[1]{path}": [text]}

    def test_tool_resources_are_gone_like_the_tools_they_were_for(self) -> None:
        (texts,) = wrong("gpt-4o", messages=self.USER, tool_resources={"file_search": {}}).values()

        assert texts == [ASSISTANTS_ARE_GONE.format(tool="tool_resources")]


class TestInputs:
    @pytest.mark.parametrize(
        "given", ["a", ["a"], ["a", "b"], [1, 2], [0], [[1], [2, 3]], ["a"] * MAX_INPUTS, [1] * 5000]
    )
    def test_taken(self, given: Any) -> None:
        assert clean("text-embedding-3-small", input=given) == {"input": given}

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ("", "This field may not be empty."),
            ([], "This field may not be empty."),
            (["a"] * (MAX_INPUTS + 1), "At most 2048 inputs."),
            ([[1]] * (MAX_INPUTS + 1), "At most 2048 inputs."),
            *(
                (
                    given,
                    "Expected a text, a list of texts, a list of token ids, or a list of such lists.",
                )
                for given in (["a", ""], ["a", 1], [1, -1], [True], [1.5], [[]], [[1], []], [["a"]], [None])
            ),
        ],
    )
    def test_wrong(self, given: Any, text: str) -> None:
        assert wrong("text-embedding-3-small", input=given) == {"input": [text]}

    @pytest.mark.parametrize("given", [3, {"a": 1}, True])
    def test_wrong_type(self, given: Any) -> None:
        assert wrong("text-embedding-3-small", input=given) == {"input": ["Expected string | array."]}
