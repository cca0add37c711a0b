"""Keys, wrong addresses, malformed requests, and Infomaniak's base paths."""

from typing import Any

import pytest

HI = [{"role": "user", "content": "Hi"}]
BASES = [
    "/v1",
    "/1/ai/12345/openai",
    "/1/ai/12345/openai/v1",
    "/2/ai/12345/openai/v1",
]


def error(answer: Any) -> tuple[int, str | None, str | None]:
    body = answer.json()["error"]
    assert body.keys() == {"message", "type", "param", "code"}
    return answer.status, body["param"], body["code"]


# -- keys ---------------------------------------------------------------------------------------


def test_no_key(provider: Any) -> None:
    answer = provider.call("GET", "/v1/models", key=None)
    assert answer.status == 401
    assert answer.json() == {
        "error": {
            "message": "You didn't provide an API key. You need to provide your API key in an "
            "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). "
            "You can obtain an API key from https://platform.openai.com/account/api-keys.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


@pytest.mark.parametrize(
    ("key", "shown"),
    [("sk-sandbox-refused", "sk-sandb******used"), ("sk-refused", "sk-refused")],
)
def test_a_refused_key(provider: Any, key: str, shown: str) -> None:
    answer = provider.call("POST", "/v1/chat/completions", {"model": "m", "messages": HI}, key=key)
    assert answer.status == 401
    assert answer.json() == {
        "error": {
            "message": f"Incorrect API key provided: {shown}. "
            "You can find your API key at https://platform.openai.com/account/api-keys.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


# -- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v2/models", "/v1/", "/v1/nothing", "/v1/files/a/b", "/1/ai/5/other"]
)
def test_an_unknown_address(provider: Any, path: str) -> None:
    answer = provider.call("GET", path)
    assert error(answer) == (404, None, None)
    assert answer.json()["error"]["message"] == f"Invalid URL (GET {path})"
    assert answer.headers["x-megahub-sandbox"] == "1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models"),
        ("PUT", "/v1/files"),
        ("POST", "/v1/files/file-1"),
        ("DELETE", "/v1/batches/batch_1"),
        ("GET", "/v1/batches/batch_1/cancel"),
        ("PUT", "/sandbox/faults"),
    ],
)
def test_a_wrong_method(provider: Any, method: str, path: str) -> None:
    assert error(provider.call(method, path)) == (405, None, "method_not_supported")


# -- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b"\xff"])
def test_no_json_object(provider: Any, body: bytes) -> None:
    answer = provider.call("POST", "/v1/chat/completions", body)
    assert error(answer) == (400, None, None)
    assert answer.json()["error"]["message"].startswith("We could not parse the JSON body")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": HI}, "model", "missing_required_parameter"),
        ({"model": "m"}, "messages", "missing_required_parameter"),
        ({"model": 5, "messages": HI}, "model", "invalid_type"),
        ({"model": "m", "messages": "Hi"}, "messages", "invalid_type"),
        ({"model": "m", "messages": []}, "messages", "empty_array"),
        ({"model": "m", "messages": ["Hi"]}, "messages[0]", "invalid_type"),
        ({"model": "m", "messages": [{}]}, "messages[0].role", "missing_required_parameter"),
        ({"model": "m", "messages": [{"role": "boss"}]}, "messages[0].role", "invalid_value"),
        (
            {"model": "m", "messages": [{"role": "user"}]},
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            {"model": "m", "messages": [{"role": "user", "content": 5}]},
            "messages[0].content",
            "invalid_type",
        ),
        ({"model": "m", "messages": HI, "temperature": "hot"}, "temperature", "invalid_type"),
        ({"model": "m", "messages": HI, "temperature": True}, "temperature", "invalid_type"),
        (
            {"model": "m", "messages": HI, "temperature": -1},
            "temperature",
            "decimal_below_min_value",
        ),
        (
            {"model": "m", "messages": HI, "temperature": 2.5},
            "temperature",
            "decimal_above_max_value",
        ),
        ({"model": "m", "messages": HI, "n": 0}, "n", "integer_below_min_value"),
        ({"model": "m", "messages": HI, "n": 1.5}, "n", "invalid_type"),
        ({"model": "m", "messages": HI, "stream": "yes"}, "stream", "invalid_type"),
        ({"model": "m", "messages": HI, "stop": [5]}, "stop[0]", "invalid_type"),
        (
            {"model": "m", "messages": HI, "reasoning_effort": "much"},
            "reasoning_effort",
            "invalid_value",
        ),
        ({"model": "m", "messages": HI, "tools": [5]}, "tools[0]", "invalid_type"),
        (
            {"model": "m", "messages": HI, "tools": [{"type": "function"}]},
            "tools[0].function",
            "missing_required_parameter",
        ),
        (
            {"model": "m", "messages": HI, "response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
    ],
)
def test_a_wrong_body(provider: Any, body: object, param: str, code: str) -> None:
    answer = provider.call("POST", "/v1/chat/completions", body)
    assert error(answer) == (400, param, code)


def test_words_of_a_wrong_type_and_of_a_wrong_value(provider: Any) -> None:
    wrong_type = provider.chat("Hi", messages="Hi").json()["error"]["message"]
    assert wrong_type == "Invalid type for 'messages': expected an array, but got a string instead."
    wrong_value = provider.chat("Hi", temperature=-1).json()["error"]["message"]
    assert wrong_value == (
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead."
    )


def test_null_is_absent(provider: Any) -> None:
    assert provider.chat("Hi", temperature=None, stop=None, tools=None, n=None).status == 200


def test_a_body_that_is_too_long(provider: Any) -> None:
    connection = provider.connect()
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("authorization", "Bearer x")
    connection.putheader("content-length", str(64 * 1024 * 1024 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


# -- Infomaniak ---------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_every_base_path_answers(provider: Any, base: str) -> None:
    assert provider.chat("Hi", base=base).json()["object"] == "chat.completion"
    assert provider.call("GET", f"{base}/models").json()["object"] == "list"
    assert provider.call("GET", f"{base}/files").json()["object"] == "list"
    assert provider.call("GET", f"{base}/batches").json()["object"] == "list"


@pytest.mark.parametrize("base", BASES[1:])
def test_infomaniak_refuses_a_field_in_its_own_envelope(provider: Any, base: str) -> None:
    messages = [{"role": "user", "content": 5}]
    answer = provider.chat("", base=base, messages=messages)
    assert answer.status == 422
    assert answer.json() == {
        "result": "error",
        "error": {
            "code": "validation_failed",
            "description": "Validation failed",
            "errors": [
                {
                    "code": "validation_rule_type",
                    "description": "Invalid type for 'messages[0].content': expected a string or "
                    "an array of objects, but got an integer instead.",
                    "context": {"attribute": "messages.0.content"},
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("status", "code", "description"),
    [
        (401, "not_authorized", "Authorization required"),
        (429, "too_many_requests", "Too many requests"),
        (500, "internal_error", "An unexpected error has occurred"),
        (503, "service_unavailable", "Service unavailable"),
        (529, "service_unavailable", "Service overloaded"),
    ],
)
def test_infomaniak_statuses(provider: Any, status: int, code: str, description: str) -> None:
    answer = provider.chat(f"Hi [sandbox: status={status}]", base=BASES[3])
    assert answer.status == status
    assert answer.json() == {"result": "error", "error": {"code": code, "description": description}}


def test_infomaniak_unknown_model(provider: Any) -> None:
    answer = provider.chat("Hi", base=BASES[3], model="does-not-exist")
    assert answer.status == 404
    assert answer.json()["error"] == {"code": "object_not_found", "description": "Object not found"}
