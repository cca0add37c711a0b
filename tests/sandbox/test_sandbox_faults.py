"""The knobs, by header, by directive and process-wide."""

import http.client
import json
from contextlib import closing
from typing import Any

import pytest

from sandbox import faults
from sandbox.errors import ApiError

RATE_LIMITED = {
    "error": {
        "message": "Rate limit reached for gpt-4o in organization org-sandbox on tokens per min "
        "(TPM): Limit 30000, Used 30000, Requested 385. Please try again in 7s. "
        "Visit https://platform.openai.com/account/rate-limits to learn more.",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
}


# -- the spec -----------------------------------------------------------------------------------


def test_it_works() -> None:
    spec = "delay=50ms, token_delay=20ms,status=429,retry_after=7"
    assert faults.parse(spec) == faults.Fault(
        spec=spec, delay_s=0.05, token_delay_s=0.02, status=429, retry_after_s=7
    )


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("first_byte=3s", {"first_byte_s": 3.0}),
        ("first_chunk=0.5s", {"first_chunk_s": 0.5}),
        ("status=503,retry_after_ms=250", {"status": 503, "retry_after_ms": 250}),
        ("cut=5", {"cut": 5}),
        ("stall=0", {"stall": 0}),
        ("malformed", {"malformed": True}),
        ("empty", {"empty": True}),
        ("no_usage", {"no_usage": True}),
        ("context", {"context": True}),
        ("quota", {"quota": True}),
        ("refuse_param=temperature", {"refuse_param": "temperature"}),
    ],
)
def test_every_knob(spec: str, fault: dict[str, Any]) -> None:
    assert faults.parse(spec) == faults.Fault(spec=spec, **fault)


def test_an_empty_spec_is_no_fault() -> None:
    assert faults.parse(" , ") is faults.NO_FAULT


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("explode", "explode"),
        ("delay=50ms,explode=2", "explode=2"),
        ("delay=50", "delay=50"),
        ("delay=-1s", "delay=-1s"),
        ("status=418", "status=418"),
        ("status=often", "status=often"),
        ("cut=now", "cut=now"),
        ("malformed=yes", "malformed=yes"),
        ("refuse_param=", "refuse_param="),
        ("retry_after=7", "retry_after=7"),
    ],
)
def test_an_unknown_spec_is_named(spec: str, named: str) -> None:
    with pytest.raises(ApiError) as caught:
        faults.parse(spec)
    assert caught.value.status == 400
    assert caught.value.code == "unknown_fault"
    assert caught.value.message.startswith(f"Unknown sandbox fault '{named}': ")


@pytest.mark.parametrize("base", ["/v1", "/2/ai/5/openai/v1"])
def test_an_unknown_spec_is_refused(provider: Any, base: str) -> None:
    assert provider.chat("Hi", base=base, headers={"x-sandbox-fault": "explode"}).status == 400
    assert provider.chat("Hi [sandbox: explode]", base=base).status == 400


# -- statuses -----------------------------------------------------------------------------------


def test_a_header_and_a_directive_do_the_same(provider: Any) -> None:
    spec = "status=429, retry_after=7, retry_after_ms=7000"
    by_header = provider.chat("Hi", headers={"x-sandbox-fault": spec})
    by_directive = provider.chat(f"Hi [sandbox: {spec}]")
    for answer in (by_header, by_directive):
        assert (answer.status, answer.json()) == (429, RATE_LIMITED)
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["retry-after-ms"] == "7000"
        assert answer.headers["x-ratelimit-remaining-tokens"] == "0"


def test_the_header_goes_before_the_directive(provider: Any) -> None:
    headers = {"x-sandbox-fault": "status=500"}
    assert provider.chat("Hi [sandbox: status=429]", headers=headers).status == 500


@pytest.mark.parametrize(
    ("spec", "status", "kind", "code"),
    [
        ("status=401", 401, "invalid_request_error", "invalid_api_key"),
        ("status=429", 429, "tokens", "rate_limit_exceeded"),
        ("status=500", 500, "server_error", None),
        ("status=503", 503, "server_error", "server_is_overloaded"),
        ("status=529", 529, "overloaded_error", "overloaded"),
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("context", 400, "invalid_request_error", "context_length_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_statuses(provider: Any, spec: str, status: int, kind: str, code: str, stream: bool) -> None:
    answer = provider.chat(f"Hi [sandbox: {spec}]", stream=stream)
    error = answer.json()["error"]
    assert (answer.status, error["type"], error["code"]) == (status, kind, code)
    assert "retry-after" not in answer.headers
    assert answer.headers["content-type"] == "application/json"


def test_a_parameter_is_refused_when_it_is_sent(provider: Any) -> None:
    text = "Hi [sandbox: refuse_param=temperature]"
    answer = provider.chat(text, temperature=0.5)
    assert answer.status == 400
    assert answer.json()["error"] == {
        "message": "Unsupported parameter: 'temperature' is not supported with this model.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "unsupported_parameter",
    }
    assert provider.chat(text).status == 200


@pytest.mark.parametrize(
    ("surface", "body"),
    [
        ("embeddings", {"model": "m", "input": "Hi [sandbox: status=503]"}),
        ("completions", {"model": "m", "prompt": "Hi [sandbox: status=503]"}),
        ("moderations", {"input": "Hi [sandbox: status=503]"}),
        ("responses", {"model": "m", "input": "Hi [sandbox: status=503]"}),
    ],
)
def test_directives_on_every_surface(provider: Any, surface: str, body: object) -> None:
    assert provider.call("POST", f"/v1/{surface}", body).status == 503


def test_only_the_last_user_message_counts(provider: Any) -> None:
    messages = [
        {"role": "user", "content": "Hi [sandbox: status=500]"},
        {"role": "assistant", "content": "[sandbox: status=500]"},
        {"role": "user", "content": "Again"},
    ]
    assert provider.chat("", messages=messages).status == 200


# -- delays -------------------------------------------------------------------------------------

# Long against PATIENCE_S, and the client hangs up: what is late is seen to be late on any machine.
PATIENCE_S = 0.25


def send_chat(provider: Any, connection: Any, text: str, **fields: Any) -> Any:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}
    return provider.send(connection, "POST", "/v1/chat/completions", body)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("spec", "status"),
    [("delay=20s", None), ("delay=20s,status=500", None), ("first_byte=20s", 200)],
)
def test_late_headers(provider: Any, spec: str, status: int | None, stream: bool) -> None:
    with closing(provider.connect()) as connection:
        connection.timeout = PATIENCE_S
        with pytest.raises(TimeoutError):
            send_chat(provider, connection, f"Hi [sandbox: {spec}]", stream=stream)
    # With `first_byte` the work is done, and billed: only the bytes are held back.
    assert [entry["status"] for entry in provider.log()] == [status]


@pytest.mark.parametrize("stream", [False, True])
def test_a_late_first_chunk(provider: Any, stream: bool) -> None:
    with closing(provider.connect()) as connection:
        response = send_chat(provider, connection, "Hi [sandbox: first_chunk=20s]", stream=stream)
        assert response.status == 200
        connection.sock.settimeout(PATIENCE_S)
        with pytest.raises(TimeoutError):
            response.read1(1)


def test_late_tokens(provider: Any) -> None:
    with closing(provider.connect()) as connection:
        response = send_chat(provider, connection, "Hi [sandbox: token_delay=20s]", stream=True)
        assert response.readline().startswith(b"data: ")
        assert response.readline() == b"\n"
        connection.sock.settimeout(PATIENCE_S)
        with pytest.raises(TimeoutError):
            response.readline()


@pytest.mark.parametrize("knob", ["delay", "first_byte", "first_chunk", "token_delay"])
def test_after_a_delay_the_answer_is_whole(provider: Any, knob: str) -> None:
    text = f"Hi [tokens=3] [sandbox: {knob}=1ms]"
    assert len(provider.chat(text, stream=True).events()) == 6
    assert provider.chat(text).json()["usage"]["completion_tokens"] == 3


# -- broken answers -----------------------------------------------------------------------------


def read_until_broken(response: http.client.HTTPResponse) -> tuple[list[str], type[Exception]]:
    """The data lines that came before the connection broke, and how it broke."""
    lines: list[str] = []
    try:
        while line := response.readline():
            lines += [line.decode()] if line.startswith(b"data: ") else []
    except (OSError, http.client.HTTPException) as error:
        return lines, type(error)
    raise AssertionError("the answer came to its end")


@pytest.mark.parametrize(("cut", "arrived"), [(0, 0), (5, 5), (999, 23)])
def test_a_stream_is_cut_with_a_reset(provider: Any, cut: int, arrived: int) -> None:
    connection = provider.connect()
    response = send_chat(provider, connection, f"Hi [tokens=21] [sandbox: cut={cut}]", stream=True)
    assert response.status == 200
    lines, broke = read_until_broken(response)
    assert len(lines) == arrived
    assert broke is ConnectionResetError
    assert "[DONE]" not in "".join(lines)
    connection.close()


def test_a_plain_answer_is_cut_in_the_middle(provider: Any) -> None:
    connection = provider.connect()
    response = send_chat(provider, connection, "Hi [sandbox: cut=5]")
    length = int(response.headers["content-length"])
    assert len(response.read1(length)) == length // 2
    with pytest.raises(ConnectionResetError):
        response.read1(length)
    connection.close()


def test_a_stream_stalls_and_stays_open(provider: Any) -> None:
    connection = provider.connect()
    response = send_chat(provider, connection, "Hi [sandbox: stall=5]", stream=True)
    connection.sock.settimeout(0.5)
    lines, broke = read_until_broken(response)
    assert (len(lines), broke) == (5, TimeoutError)
    connection.close()
    assert provider.chat("Still there?").status == 200


def test_a_plain_answer_stalls_in_the_middle(provider: Any) -> None:
    connection = provider.connect()
    response = send_chat(provider, connection, "Hi [sandbox: stall=1]")
    connection.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        response.read()
    connection.close()


def test_a_malformed_body(provider: Any) -> None:
    answer = provider.chat("Hi [sandbox: malformed]")
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_malformed_line_in_a_stream(provider: Any) -> None:
    answer = provider.chat("Hi [tokens=3] [sandbox: malformed]", stream=True)
    parts = answer.raw.decode().split("\n\n")[:-1]
    assert [_is_json(part.removeprefix("data: ")) for part in parts] == [
        True,
        True,
        False,
        True,
        True,
        True,
        False,  # [DONE]
    ]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer(provider: Any, stream: bool) -> None:
    answer = provider.chat("Hi [sandbox: empty]", stream=stream)
    assert (answer.status, answer.raw) == (200, b"")


def test_no_usage(provider: Any) -> None:
    assert "usage" not in provider.chat("Hi [sandbox: no_usage]").json()
    options = {"include_usage": True}
    text = "Hi [sandbox: no_usage]"
    events = provider.chat(text, stream=True, stream_options=options).events()
    assert [event for event in events[:-1] if event.get("usage") or not event["choices"]] == []


# -- process-wide -------------------------------------------------------------------------------


def order(provider: Any, **body: Any) -> Any:
    return provider.call("POST", "/sandbox/faults", body)


def test_a_process_wide_fault(provider: Any) -> None:
    listed = {"spec": "status=500", "times": 2, "match": None, "used": 0}
    assert order(provider, spec="status=500", times=2).json() == listed
    assert provider.call("GET", "/sandbox/faults").json() == {"object": "list", "data": [listed]}
    assert [provider.chat("Hi").status for _ in range(3)] == [500, 500, 200]
    assert provider.call("GET", "/sandbox/faults").json()["data"][0]["used"] == 2
    assert provider.call("DELETE", "/sandbox/faults").json() == {"deleted": 1}
    assert provider.call("GET", "/sandbox/faults").json() == {"object": "list", "data": []}


def test_a_fault_without_times_stays(provider: Any) -> None:
    order(provider, spec="status=503", times=None)
    assert [provider.chat("Hi").status for _ in range(4)] == [503] * 4


def test_a_fault_for_a_model(provider: Any) -> None:
    order(provider, spec="status=529", match={"model": "gpt-4.1"})
    assert provider.chat("Hi", model="gpt-4.1").status == 529
    assert provider.chat("Hi", model="gpt-4.1-mini").status == 200


def test_a_fault_for_a_path(provider: Any) -> None:
    order(provider, spec="status=429", match={"path": "/batches"})
    assert provider.chat("Hi").status == 200
    assert provider.call("GET", "/v1/batches").status == 429
    assert provider.call("GET", "/sandbox/health").status == 200


def test_the_first_fault_that_matches_is_taken(provider: Any) -> None:
    order(provider, spec="status=500", times=1)
    order(provider, spec="status=503", times=1)
    assert [provider.chat("Hi").status for _ in range(3)] == [500, 503, 200]


def test_a_calls_own_fault_goes_first_and_does_not_use_up_the_others(provider: Any) -> None:
    order(provider, spec="status=500", times=1)
    assert provider.chat("Hi [sandbox: status=503]").status == 503
    assert provider.chat("Hi").status == 500


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "spec", "missing_required_parameter"),
        ({"spec": "explode"}, None, "unknown_fault"),
        ({"spec": "empty", "times": 0}, "times", "integer_below_min_value"),
        ({"spec": "empty", "often": 1}, "often", "unknown_parameter"),
        ({"spec": "empty", "match": {"key": "k"}}, "match.key", "unknown_parameter"),
        ({"spec": "empty", "match": {"model": 5}}, "model", "invalid_type"),
    ],
)
def test_a_wrong_order_is_refused_and_adds_nothing(
    provider: Any, body: dict[str, Any], param: str | None, code: str
) -> None:
    answer = order(provider, **body)
    error = answer.json()["error"]
    assert (answer.status, error["param"], error["code"]) == (400, param, code)
    assert provider.call("GET", "/sandbox/faults").json()["data"] == []


def test_models_and_files_meet_faults_too(provider: Any) -> None:
    headers = {"x-sandbox-fault": "status=500"}
    assert provider.call("GET", "/v1/models", headers=headers).status == 500
    assert provider.call("GET", "/v1/files", headers=headers).status == 500
