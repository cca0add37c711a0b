"""What is wrong with the lines of a batch file."""

import json
from typing import Any

import pytest

from sandbox import lines

CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
LINE = {"custom_id": "a", "method": "POST", "url": CHAT, "body": BODY}
UNPARSEABLE = ("invalid_json_line", None, "This line is not parseable as valid JSON.")


def inspect(*rows: Any, endpoint: str = CHAT) -> lines.Inspection:
    inspection = lines.Inspection(endpoint)
    for number, row in enumerate(rows, 1):
        inspection.read(number, row if isinstance(row, bytes) else json.dumps(row).encode())
    inspection.finish()
    return inspection


def changed(**fields: Any) -> dict[str, Any]:
    """The good line with other fields; None takes one away."""
    return {name: value for name, value in {**LINE, **fields}.items() if value is not None}


def missing(name: str) -> tuple[str, str, str]:
    return "missing_required_parameter", name, f"Missing required parameter: '{name}'."


def test_it_works() -> None:
    inspection = inspect(LINE, changed(custom_id="b"))
    assert (inspection.total, inspection.model, inspection.errors) == (2, "gpt-4o", [])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"{broken", UNPARSEABLE),
        (b"[1]", UNPARSEABLE),
        (b"\xef\xbb\xbf" + json.dumps(LINE).encode(), UNPARSEABLE),
        (changed(custom_id=None), missing("custom_id")),
        (changed(method=None), missing("method")),
        (changed(url=None), missing("url")),
        (changed(body=None), missing("body")),
        (
            changed(custom_id=5),
            ("invalid_request", "custom_id", "The custom_id must be a string."),
        ),
        (
            changed(method="GET"),
            ("invalid_method", "method", "The method of a request must be POST."),
        ),
        (
            changed(url="/v1/embeddings"),
            (
                "invalid_url",
                "url",
                "The URL provided for this request does not match the batch endpoint.",
            ),
        ),
        (changed(body="text"), ("invalid_request", "body", "The body must be an object.")),
        (
            changed(body={**BODY, "stream": True}),
            (
                "streaming_unsupported",
                "body.stream",
                "Chat Completions: Streaming is not supported in the Batch API.",
            ),
        ),
        (
            changed(body={**BODY, "model": "gpt-does-not-exist"}),
            (
                "model_not_found",
                "body.model",
                "The provided model 'gpt-does-not-exist' is not supported by the Batch API.",
            ),
        ),
        (
            changed(body={**BODY, "model": None}),
            ("invalid_request", "body.model", "Missing required parameter: 'model'."),
        ),
        (
            changed(body={**BODY, "messages": None}),
            ("invalid_request", "body.messages", "Missing required parameter: 'messages'."),
        ),
    ],
)
def test_a_wrong_line(row: Any, told: tuple[str, str | None, str]) -> None:
    code, param, message = told
    assert inspect(row).errors == [{"code": code, "message": message, "param": param, "line": 1}]


def test_a_custom_id_twice() -> None:
    assert inspect(LINE, LINE).errors == [
        {
            "code": "duplicate_custom_id",
            "message": "The custom_id for this request is a duplicate of another request. "
            "The custom_id parameter must be unique for each request in a batch.",
            "param": "custom_id",
            "line": 2,
        }
    ]


def test_two_models() -> None:
    other = changed(custom_id="b", body={**BODY, "model": "gpt-4.1"})
    (error,) = inspect(LINE, other).errors
    assert (error["code"], error["param"], error["line"]) == ("model_mismatch", "body.model", 2)


def test_no_lines() -> None:
    (error,) = inspect().errors
    assert (error["code"], error["line"]) == ("empty_file", None)


def test_too_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINES", 1)
    (error,) = inspect(LINE, changed(custom_id="b")).errors
    assert (error["code"], error["line"]) == ("too_many_tasks", None)


@pytest.mark.parametrize(
    ("source", "fits"), [(["a", "b", "c"], False), ([[1], [2], [3]], False), ([1, 2, 3], True)]
)
def test_too_many_embedding_inputs(monkeypatch: pytest.MonkeyPatch, source: object, fits: bool) -> None:
    monkeypatch.setattr(lines, "MAX_EMBEDDING_INPUTS", 2)
    row = changed(url="/v1/embeddings", body={"model": "m", "input": source})
    codes = [error["code"] for error in inspect(row, endpoint="/v1/embeddings").errors]
    assert codes == ([] if fits else ["too_many_tasks"])


def test_of_many_wrong_lines_the_first_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_ERRORS", 2)
    assert [error["line"] for error in inspect(b"a", b"b", b"c").errors] == [1, 2]
