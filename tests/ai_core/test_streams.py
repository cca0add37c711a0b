"""Streams: what is said is told at once and settled at the end, also when the client hangs up."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ai_core.models import AIJob
from megahub.kernel.errors import ProviderDisconnected, RateLimited
from tests import world
from tests.ai_core.test_cancel import wait_until
from tests.conftest import Api
from tests.stubs import Scripted, chunk
from tests.world import Cast

Provider = Callable[..., Scripted]
URL = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def stop() -> dict[str, Any]:
    end = chunk("")
    end["choices"][0] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return end


def usage() -> dict[str, Any]:
    return {**chunk(""), "choices": [], "usage": USAGE}


def events(text: str) -> list[Any]:
    parts = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
    return [part if part == "[DONE]" else json.loads(part) for part in parts]


def only_job(cast: Cast) -> AIJob:
    return AIJob.objects.of(cast.company.pk).get()  # type: ignore[no-any-return]


def test_it_works(api: Api, cast: Cast, provider: Provider) -> None:
    provider([chunk("Hel"), chunk("lo"), stop(), usage()])

    response = api.as_(cast.alice).post(URL, {**BODY, "stream_options": {"include_usage": True}})

    assert response.headers["content-type"] == "text/event-stream"
    assert events(response.text) == [chunk("Hel"), chunk("lo"), stop(), usage(), "[DONE]"]
    row = only_job(cast)
    assert row.status == "completed"
    assert row.response["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "stop",
        }
    ]
    (entry,) = world.ledger(row.pk)
    assert (entry.input_tokens, entry.output_tokens, entry.is_estimated) == (9, 3, False)


def test_usage_is_counted_but_not_told_unless_asked_for(api: Api, cast: Cast, provider: Provider) -> None:
    provider([{**chunk("Hi"), "usage": None}, stop(), usage()])

    response = api.as_(cast.alice).post(URL, BODY)

    assert events(response.text) == [chunk("Hi"), stop(), "[DONE]"]
    assert world.ledger(only_job(cast).pk)[0].input_tokens == 9


def test_an_error_before_the_first_word_has_a_status_of_its_own(
    api: Api, cast: Cast, provider: Provider
) -> None:
    provider(RateLimited(retry_after=7, provider="openai"))

    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert only_job(cast).status == "failed"


def test_an_error_in_mid_stream_is_one_last_event(api: Api, cast: Cast, provider: Provider) -> None:
    provider([chunk("Hel"), ProviderDisconnected(provider="openai")])

    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 200
    assert events(response.text) == [
        chunk("Hel"),
        {
            "error": {
                "message": "openai broke the connection before its answer was complete.",
                "type": "server_error",
                "param": None,
                "code": "provider_disconnected",
            }
        },
    ]
    row = only_job(cast)
    assert row.status == "failed"
    (entry,) = world.ledger(row.pk)
    assert (entry.kind, entry.is_estimated, entry.output_tokens) == ("settle", True, 1)


def test_a_client_that_hangs_up_does_not_lose_the_usage(
    live_url: str, cast: Cast, provider: Provider
) -> None:
    budget = world.make_budget(cast.company, "5")
    provider([chunk("Once upon a time "), 0.3, chunk("there was"), 30.0, chunk(" nobody left")])
    body = json.dumps(BODY).encode()
    head = (
        f"POST {URL} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {cast.alice.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address = urlsplit(live_url)

    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(head.encode() + body)
        said = b""
        while b"there was" not in said:
            said += client.recv(4096)

    wait_until(lambda: only_job(cast).status != "running")
    row = only_job(cast)
    assert (row.status, row.error["code"]) == ("cancelled", "JOB_CANCELLED")
    assert row.response["choices"][0]["message"]["content"] == "Once upon a time there was"
    (entry,) = world.ledger(row.pk)
    assert (entry.kind, entry.is_estimated) == ("settle", True)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, entry.charged_nano_usd)


def test_megahubs_own_stream(api: Api, cast: Cast, provider: Provider) -> None:
    provider([chunk("Hel"), chunk("lo"), stop(), usage()])

    response = api.as_(cast.alice).post("/ai/openai/chat/", BODY)

    first, *deltas, done = events(response.text)
    row = only_job(cast)
    assert first == {"type": "job", "job_id": row.job_id, "model": "gpt-4o-mini"}
    assert deltas == [
        {"type": "delta", "index": 0, "content": "Hel"},
        {"type": "delta", "index": 0, "content": "lo"},
    ]
    assert done["type"] == "done"
    assert (done["status"], done["result"]["completion"]) == ("completed", "Hello")
    assert done["usage"]["cost_usd"] == "0.000003"
