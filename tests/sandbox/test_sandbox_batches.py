"""Batches: the whole road, content errors, faults in lines, cancel, expiry, lists."""

import json
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def chat_line(custom_id: str, text: str = "Hi [tokens=10]", **fields: Any) -> dict[str, Any]:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def jsonl(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def create(provider: Any, content: bytes, endpoint: str = CHAT, **fields: Any) -> Any:
    file_id = provider.upload(content).json()["id"]
    order = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", **fields}
    return provider.call("POST", "/v1/batches", order).json()


def finished(provider: Any, batch_id: str) -> Any:
    for _ in range(500):
        batch = provider.call("GET", f"/v1/batches/{batch_id}").json()
        if batch["status"] in ENDED:
            return batch
        time.sleep(0.01)
    raise AssertionError(f"the batch is still {batch['status']}")


def content_of(provider: Any, file_id: str) -> Any:
    return provider.call("GET", f"/v1/files/{file_id}/content").lines()


def test_it_works(provider: Any) -> None:
    content = jsonl(chat_line("one"), chat_line("two", "Hi [tokens=20]"))
    created = create(provider, content, metadata={"job": "7"})
    assert created == {
        "id": ANY,
        "object": "batch",
        "endpoint": CHAT,
        "model": None,
        "errors": None,
        "input_file_id": ANY,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": ANY,
        "expires_at": created["created_at"] + 24 * 3600,
        "in_progress_at": None,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": {"job": "7"},
    }
    batch = finished(provider, created["id"])
    assert batch == {
        **created,
        "model": "gpt-4o",
        "status": "completed",
        "output_file_id": ANY,
        "in_progress_at": ANY,
        "finalizing_at": ANY,
        "completed_at": ANY,
        "request_counts": {"total": 2, "completed": 2, "failed": 0},
        "usage": {
            "input_tokens": 14,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 44,
        },
    }
    assert batch["error_file_id"] is None
    assert batch["created_at"] <= batch["in_progress_at"] <= batch["completed_at"]


def test_the_output_lines_are_the_answers_of_single_calls(provider: Any) -> None:
    batch = finished(provider, create(provider, jsonl(chat_line("one")))["id"])
    single = provider.chat("Hi [tokens=10]").json()
    assert content_of(provider, batch["output_file_id"]) == [
        {
            "id": ANY,
            "custom_id": "one",
            "response": {
                "status_code": 200,
                "request_id": ANY,
                "body": {**single, "created": ANY},
            },
            "error": None,
        }
    ]
    stored = provider.call("GET", f"/v1/files/{batch['output_file_id']}").json()
    assert stored["purpose"] == "batch_output"
    assert stored["filename"] == f"{batch['id']}_output.jsonl"
    assert stored["expires_at"] == stored["created_at"] + 30 * 24 * 3600


@pytest.mark.parametrize(
    ("endpoint", "body", "kind"),
    [
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hi"}, "list"),
        ("/v1/completions", {"model": "m", "prompt": "Hi"}, "text_completion"),
        ("/v1/moderations", {"model": "omni-moderation-latest", "input": "Hi"}, None),
        ("/v1/responses", {"model": "gpt-4o", "input": "Hi"}, "response"),
    ],
)
def test_every_endpoint(provider: Any, endpoint: str, body: Any, kind: str | None) -> None:
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    batch = finished(provider, create(provider, jsonl(line), endpoint)["id"])
    assert batch["status"] == "completed"
    (written,) = content_of(provider, batch["output_file_id"])
    assert written["response"]["body"].get("object") == kind
    used = written["response"]["body"].get("usage") or {"total_tokens": 0}
    assert batch["usage"]["total_tokens"] == used["total_tokens"]


def test_refused_lines_go_to_the_error_file(provider: Any) -> None:
    rows = [
        chat_line("good"),
        chat_line("hot", temperature=9),
        chat_line("broken", "Hi [sandbox: status=500]"),
        chat_line("odd", "Hi [sandbox: explode]"),
    ]
    batch = finished(provider, create(provider, jsonl(*rows))["id"])
    assert batch["request_counts"] == {"total": 4, "completed": 1, "failed": 3}
    refused = content_of(provider, batch["error_file_id"])
    told = [(row["custom_id"], row["error"], row["response"]["status_code"]) for row in refused]
    assert told == [("hot", None, 400), ("broken", None, 500), ("odd", None, 400)]
    assert refused[0]["response"]["body"]["error"]["param"] == "temperature"
    assert [row["custom_id"] for row in content_of(provider, batch["output_file_id"])] == ["good"]


def test_a_batch_of_nothing_but_failures_is_completed(provider: Any) -> None:
    batch = finished(provider, create(provider, jsonl(chat_line("a", "[sandbox: quota]")))["id"])
    assert batch["status"] == "completed"
    assert batch["output_file_id"] is None
    assert batch["error_file_id"] is not None
    assert batch["request_counts"] == {"total": 1, "completed": 0, "failed": 1}


# -- batches that fail --------------------------------------------------------------------------


def test_a_file_with_wrong_lines(provider: Any) -> None:
    rows = [chat_line("a"), chat_line("b", model="gpt-4.1"), chat_line("a")]
    created = create(provider, jsonl(*rows) + b"\nwrong\n")
    assert created["status"] == "validating"
    batch = finished(provider, created["id"])
    assert batch["status"] == "failed"
    assert batch["failed_at"] is not None
    assert batch["errors"]["object"] == "list"
    told = [(error["line"], error["code"]) for error in batch["errors"]["data"]]
    assert told == [(2, "model_mismatch"), (3, "duplicate_custom_id"), (5, "invalid_json_line")]
    assert (batch["output_file_id"], batch["error_file_id"]) == (None, None)
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}


def test_an_empty_file(provider: Any) -> None:
    batch = finished(provider, create(provider, b"\n\n")["id"])
    assert [error["code"] for error in batch["errors"]["data"]] == ["empty_file"]


def test_a_missing_file(provider: Any) -> None:
    order = {"input_file_id": "file-none", "endpoint": CHAT, "completion_window": "24h"}
    created = provider.call("POST", "/v1/batches", order)
    assert (created.status, created.json()["status"]) == (200, "validating")
    batch = finished(provider, created.json()["id"])
    assert batch["errors"]["data"] == [
        {
            "code": "invalid_request",
            "message": "Cannot find file file-none, or organization org-sandbox does not have "
            "access to it.",
            "param": "file_id",
            "line": None,
        }
    ]


def test_a_file_of_another_purpose(provider: Any) -> None:
    file_id = provider.upload(b"{}", purpose="user_data").json()["id"]
    order = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    batch = finished(provider, provider.call("POST", "/v1/batches", order).json()["id"])
    assert (batch["status"], batch["errors"]["data"][0]["param"]) == ("failed", "file_id")


# -- orders refused at once ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"input_file_id": None}, "input_file_id", "missing_required_parameter"),
        ({"endpoint": "/v1/invalid/endpoint"}, "endpoint", "invalid_value"),
        ({"completion_window": "48h"}, "completion_window", "invalid_value"),
        ({"metadata": {"tags": ["a"]}}, "metadata.tags", "invalid_type"),
        ({"metadata": {str(n): "a" for n in range(17)}}, "metadata", "above_max_length"),
        ({"metadata": {"k" * 65: "a"}}, "metadata", "above_max_length"),
        ({"metadata": {"k": "a" * 513}}, "metadata.k", "above_max_length"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 5}},
            "output_expires_after.seconds",
            "integer_below_min_value",
        ),
    ],
)
def test_wrong_orders(provider: Any, change: dict[str, Any], param: str, code: str) -> None:
    order = {"input_file_id": "file-1", "endpoint": CHAT, "completion_window": "24h", **change}
    before = provider.call("GET", "/v1/batches").json()
    answer = provider.call("POST", "/v1/batches", order)
    error = answer.json()["error"]
    assert (answer.status, error["param"], error["code"]) == (400, param, code)
    assert provider.call("GET", "/v1/batches").json() == before


def test_words_of_a_wrong_order(provider: Any) -> None:
    order: dict[str, Any] = {
        "input_file_id": "file-1",
        "endpoint": "/v1/x",
        "completion_window": "24h",
    }
    assert provider.call("POST", "/v1/batches", order).json()["error"]["message"] == (
        "Invalid value: '/v1/x'. Supported values are: '/v1/chat/completions', '/v1/completions', "
        "'/v1/embeddings', '/v1/moderations', and '/v1/responses'."
    )
    order = {**order, "endpoint": CHAT, "metadata": {"tags": []}}
    assert provider.call("POST", "/v1/batches", order).json()["error"]["message"] == (
        "Invalid type for 'metadata.tags': expected a string, but got an array instead."
    )


def test_an_unknown_batch(provider: Any) -> None:
    for method, path in (("GET", "/v1/batches/none"), ("POST", "/v1/batches/none/cancel")):
        answer = provider.call(method, path)
        assert answer.status == 404
        assert answer.json()["error"]["message"] == "No batch found with id 'none'."


# -- cancel, expiry, lists ----------------------------------------------------------------------


def test_an_ended_batch_is_not_cancelled(provider: Any) -> None:
    batch_id = create(provider, jsonl(chat_line("a")))["id"]
    finished(provider, batch_id)
    answer = provider.call("POST", f"/v1/batches/{batch_id}/cancel")
    assert answer.status == 409
    assert answer.json()["error"]["message"] == "Cannot cancel a batch with status 'completed'."


def test_a_slow_batch_is_cancelled(
    start_sandbox: Callable[..., Any], provider_at: Callable[[str], Any]
) -> None:
    with start_sandbox("--seconds-per-batch-line", "0.1") as (url, _):
        provider = provider_at(url)
        batch_id = create(provider, jsonl(*(chat_line(str(n)) for n in range(100))))["id"]
        while not (batch := provider.call("GET", f"/v1/batches/{batch_id}").json())["request_counts"][
            "completed"
        ]:
            time.sleep(0.02)
        assert batch["status"] == "in_progress"
        cancelling = provider.call("POST", f"/v1/batches/{batch_id}/cancel").json()
        assert cancelling["status"] == "cancelling"
        assert cancelling["cancelling_at"] is not None
        batch = finished(provider, batch_id)
        assert batch["status"] == "cancelled"
        assert batch["cancelled_at"] is not None
        done = batch["request_counts"]["completed"]
        assert 1 <= done < 100
        assert len(content_of(provider, batch["output_file_id"])) == done
        again = provider.call("POST", f"/v1/batches/{batch_id}/cancel")
        assert (again.status, again.json()["status"]) == (200, "cancelled")


def test_a_batch_that_expires(provider: Any) -> None:
    content = jsonl(*(chat_line(str(number)) for number in range(3)))
    created = create(provider, content, metadata={"sandbox_expire_after": "2"})
    batch = finished(provider, created["id"])
    assert batch["status"] == "expired"
    assert batch["expired_at"] is not None
    assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert content_of(provider, batch["error_file_id"]) == [
        {
            "id": ANY,
            "custom_id": "2",
            "response": None,
            "error": {
                "code": "batch_expired",
                "message": "This request could not be executed before the completion window expired.",
            },
        }
    ]


def test_output_files_expire_when_asked(provider: Any) -> None:
    policy = {"anchor": "created_at", "seconds": 3600}
    created = create(provider, jsonl(chat_line("a")), output_expires_after=policy)
    batch = finished(provider, created["id"])
    stored = provider.call("GET", f"/v1/files/{batch['output_file_id']}").json()
    assert stored["expires_at"] == stored["created_at"] + 3600


def test_pages(provider: Any) -> None:
    ids = [create(provider, jsonl(chat_line("a")))["id"] for _ in range(3)]
    newest = provider.call("GET", "/v1/batches?limit=2").json()
    assert [batch["id"] for batch in newest["data"]] == [ids[2], ids[1]]
    assert (newest["first_id"], newest["last_id"], newest["has_more"]) == (ids[2], ids[1], True)
    after = provider.call("GET", f"/v1/batches?limit=1&after={ids[1]}").json()
    assert [batch["id"] for batch in after["data"]] == [ids[0]]
    assert provider.call("GET", "/v1/batches?limit=101").status == 400
