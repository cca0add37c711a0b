"""Strict JSON in, nothing in it that the database could not store."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megahub.kernel import body
from megahub.kernel.body import MAX_DEPTH
from megahub.kernel.errors import MalformedBody, ValidationFailed

TOO_DEEP = "The request body is nested deeper than 32 levels."
NUL = "The request body holds the character U+0000, which cannot be stored."

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def reason(raw: bytes) -> str:
    """What is told of a malformed body."""
    with pytest.raises(MalformedBody) as caught:
        body.loads(raw)
    assert (caught.value.status, caught.value.facts) == (400, {})
    return str(caught.value)


def nested(depth: int, *, leaf: str = "1", opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + leaf + closing * depth).encode()


def test_it_works() -> None:
    raw = '{"a": [1, 2.5, true, null, "é"], "a b": {"x": "\\u00e9"}}'.encode()

    assert body.loads(raw) == {"a": [1, 2.5, True, None, "é"], "a b": {"x": "é"}}


class TestStrict:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b" ",
            b"{",
            b"{'a': 1}",
            b'{"a": 1,}',
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": -Infinity}',
            b'{"a": 1} x',
            b'{"a": 1}{"b": 2}',
            b'{"a": "\n"}',
            b'{"a": "\\ud800"}',
            b'{"a": "\xff"}',
            b'\xef\xbb\xbf{"a": 1}',
            b'{"a": 01}',
            b'{"a": 1e999}',
            b'{"a": ' + b"9" * 400 + b"}",
            b"undefined",
            "{}".encode("utf-16"),
        ],
    )
    def test_refused(self, raw: bytes) -> None:
        assert reason(raw).startswith("The request body is not valid JSON: ")

    def test_where_it_is_told(self) -> None:
        assert reason(b'{"a": 1,\n "b": }') == (
            "The request body is not valid JSON:"
            " unexpected character, expected a JSON value at line 2 column 7."
        )

    def test_an_escaped_pair_is_one_character(self) -> None:
        assert body.loads(b'"\\ud83c\\udfd4"') == "\N{SNOW CAPPED MOUNTAIN}"


class TestDepth:
    @pytest.mark.parametrize(
        ("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"]
    )
    def test_limit(self, opening: str, closing: str) -> None:
        fits = nested(MAX_DEPTH, opening=opening, closing=closing)
        assert body.dumps(body.loads(fits)) == fits

        told = reason(nested(MAX_DEPTH + 1, opening=opening, closing=closing))
        assert told == TOO_DEEP

    def test_an_empty_container_is_a_level_too(self) -> None:
        body.loads(nested(MAX_DEPTH - 1, leaf="[]"))

        assert reason(nested(MAX_DEPTH, leaf="[]")) == TOO_DEEP
        assert reason(nested(MAX_DEPTH, leaf="{}")) == TOO_DEEP

    def test_a_megabyte_of_brackets(self) -> None:
        """Neither a deep recursion nor a long walk: the parser gives up, or the count does."""
        assert reason(b"[" * 500_000 + b"]" * 500_000)
        assert reason(nested(1000)) == TOO_DEEP

    def test_broad_is_not_deep(self) -> None:
        raw = body.dumps([[[]]] * 10_000)

        assert len(body.loads(raw)) == 10_000

    def test_brackets_in_texts_do_not_count(self) -> None:
        assert body.loads(body.dumps({"a": "[" * 1000})) == {"a": "[" * 1000}


class TestNul:
    @pytest.mark.parametrize(
        "raw", [b'"\\u0000"', b'{"a": "x\\u0000y"}', b'{"\\u0000": 1}', b'[[{"a": ["\\u0000"]}]]']
    )
    def test_refused(self, raw: bytes) -> None:
        assert reason(raw) == NUL

    @pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "u0000", "\u0001"])
    def test_what_only_looks_like_it(self, text: str) -> None:
        assert body.loads(orjson.dumps(text)) == text

    def test_replaced_in_a_providers_answer(self) -> None:
        given = {"a\0": ["x\0y", {"b": "\0"}], "n": 1, "none": None, "flag": True, "f": 0.5}

        assert body.without_nul(given) == {
            "a\ufffd": ["x\ufffdy", {"b": "\ufffd"}],
            "n": 1,
            "none": None,
            "flag": True,
            "f": 0.5,
        }

    @settings(deadline=None)
    @given(values)
    def test_afterwards_there_is_none(self, value: Any) -> None:
        assert not body.has_nul(body.without_nul(value))
        if not body.has_nul(value):
            assert body.without_nul(value) == value


class TestObjects:
    def test_an_empty_body_is_the_empty_object(self) -> None:
        assert body.json_object(b"") == {}
        assert body.json_object(b'{"a": 1}') == {"a": 1}

    @pytest.mark.parametrize("raw", [b"[]", b"1", b'"a"', b"null", b"true"])
    def test_anything_else(self, raw: bytes) -> None:
        with pytest.raises(ValidationFailed) as caught:
            body.json_object(raw)

        assert str(caught.value) == "The request body must be a JSON object."


@settings(deadline=None)
@given(values)
def test_there_and_back(value: Any) -> None:
    raw = body.dumps(value)
    if body.has_nul(value):
        assert reason(raw) == NUL
    else:
        assert body.loads(raw) == value
