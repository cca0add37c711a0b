"""The pure parts: tokens, directives, prose, schemas."""

import pytest

from sandbox import prompts, prose, schemas, tokens


def test_it_works() -> None:
    assert tokens.count("[sandbox] gpt-4o") == 4


@pytest.mark.parametrize(("text", "expected"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("éàüß", 1)])
def test_count(text: str, expected: int) -> None:
    assert tokens.count(text) == expected
    assert len(tokens.pieces(text)) == expected
    assert "".join(tokens.pieces(text)) == text


def test_cut_leaves_the_first_tokens() -> None:
    assert tokens.cut("abcdefghij", 2) == "abcdefgh"


def test_a_message_costs_three_and_its_content() -> None:
    messages: list[prompts.Body] = [
        {"role": "system", "content": "abcd"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "abcdefgh"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
    ]
    assert tokens.of_messages(messages) == (3 + 1) + (3 + 2 + 85) + (3 + 3)


def test_the_last_user_text_is_found_behind_an_answer() -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "said"},
    ]
    assert prompts.last_user_text(messages) == "a\nb"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"role": "user", "content": "chat"}]}, "chat"),
        ({"input": "one"}, "one"),
        ({"input": ["one", "two"]}, "two"),
        ({"input": [{"role": "user", "content": "item"}]}, "item"),
        ({"prompt": "legacy"}, "legacy"),
        ({"input": [1, 2, 3]}, ""),
        ({"messages": "wrong", "input": 5}, ""),
        ({}, ""),
    ],
)
def test_prompt_text(body: prompts.Body, expected: str) -> None:
    assert prompts.prompt_text(body) == expected


def test_directives_are_read_and_not_echoed() -> None:
    text = "Say [tokens=200] it [sandbox: delay=1ms, status=500] now [tool]"
    assert prompts.wanted_tokens(text) == 200
    assert prompts.fault_spec(text) == "delay=1ms, status=500"
    assert prompts.without_directives(text) == "Say it now"


def test_an_answer_depends_on_the_seed_alone() -> None:
    first = prose.answer("gpt-4o", "Hi", 7)
    assert first == prose.answer("gpt-4o", "Hi", 7)
    assert first != prose.answer("gpt-4o", "Hi", 8000)
    assert first.startswith("[sandbox] gpt-4o echoes: Hi. ")


@pytest.mark.parametrize("wanted", [1, 2, 7, 200, 60_000])
def test_an_answer_has_the_length_asked_for(wanted: int) -> None:
    assert tokens.count(prose.answer("gpt-4o", f"Hi [tokens={wanted}]", 12345)) == wanted


def test_a_long_question_is_echoed_in_part() -> None:
    assert len(prose.answer("gpt-4o", "x" * 50_000, 1)) < 800


def test_example_of_a_whole_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 3, "maximum": 3},
            "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "step": {"type": "integer", "multipleOf": 5, "minimum": 11, "maximum": 15},
            "when": {"type": "string", "format": "date-time"},
            "code": {"type": "string", "minLength": 20, "maxLength": 20},
            "short": {"type": "string", "maxLength": 2},
            "kind": {"const": "weather"},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "flag": {"type": ["boolean", "null"]},
            "both": {"allOf": [{"type": "object"}, {"properties": {"a": {"const": 1}}}]},
        },
        "required": ["city"],
        "$defs": {"tag": {"const": "t"}},
    }
    value = schemas.example(schema, 4)
    assert isinstance(value.pop("city"), str)
    assert len(value.pop("code")) == 20
    assert len(value.pop("short")) == 2
    assert value == {
        "unit": value["unit"],
        "days": 3,
        "share": 0.5,
        "step": 15,
        "when": "2026-11-20T12:00:00Z",
        "kind": "weather",
        "note": None,
        "tags": ["t", "t"],
        "flag": value["flag"],
        "both": {"a": 1},
    }
    assert value["unit"] in ("c", "f")
    assert value["flag"] in (True, False)


def test_example_of_a_schema_that_contains_itself_ends() -> None:
    node = {
        "type": "object",
        "properties": {
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["next", "children"],
    }
    value = schemas.example(node, 1)
    while value["next"] is not None:
        value = value["next"]
    assert value == {"next": None, "children": []}


def test_example_of_a_schema_without_a_value_ends_too() -> None:
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    assert schemas.example(endless, 1)
