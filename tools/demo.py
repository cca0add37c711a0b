"""The demo job: Alice asks a model over real HTTP, once now and once through the worker."""

from __future__ import annotations

import json
import textwrap
import time
from typing import Any

from tools.client import Client, NoAnswer
from tools.report import Fault, say

MODEL = "gpt-4o-mini"
WHO = "alice"
NOW = "In one sentence: what does a hub for AI jobs do?"
LATER = "In one sentence: why would a job run in a worker?"
POLL_SECONDS = 0.1
ANSWER_SHOWN = 160
PATIENCE_SECONDS = 60.0
ENDS = ("completed", "failed", "cancelled", "timeout")


def run(address: str, password: str) -> dict[str, Any]:
    """Both jobs, told of in a line each; the later one as ``GET /ai/jobs/{id}/``. Raises Fault."""
    try:
        token = _ask(Client(address), "/auth/token/", {"username": WHO, "password": password})
        alice = Client(address, token["access"])
        _tell("now", NOW, _ask(alice, "/ai/openai/chat/", _chat(NOW)))
        accepted = _ask(alice, "/ai/openai/chat/", {**_chat(LATER), "async": True})
        _tell("later, by the worker", LATER, _poll(alice, accepted["job_id"]))
        job: dict[str, Any] = _of(alice.get(f"/ai/jobs/{accepted['job_id']}/"), "the job")
    except NoAnswer as error:
        raise Fault(f"The demo job failed: {error}.") from error
    return job


def _chat(text: str) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


def _ask(client: Client, path: str, body: dict[str, Any]) -> Any:
    return _of(client.post(path, body), f"POST {path}")


def _of(answer: tuple[int, Any], what: str) -> Any:
    status, body = answer
    if status not in (200, 202):
        raise Fault(f"The demo job failed: {what} was answered {status}: {json.dumps(body)[:500]}")
    return body


def _poll(client: Client, job_id: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE_SECONDS
    path = f"/ai/openai/completion/job_result/?job_id={job_id}"
    while time.monotonic() < until:
        found: dict[str, Any] = _of(client.get(path), f"GET {path}")
        if found["job"]["status"] == "completed":
            return found
        if found["job"]["status"] in ENDS:
            raise Fault(f"The demo job failed: {json.dumps(found['error'])}")
        time.sleep(POLL_SECONDS)
    raise Fault(f"The demo job failed: no worker ran {job_id} within {PATIENCE_SECONDS:g} s.")


def _tell(when: str, question: str, answer: dict[str, Any]) -> None:
    usage, result = answer["usage"], answer["result"]
    text = textwrap.shorten(str(result["completion"]), ANSWER_SHOWN, placeholder="…")
    cost = f"{usage['total_tokens']} tokens, {usage['cost_usd']} USD"
    say(f"{WHO} asked {MODEL}, {when}: {question}\n          -> {text} ({cost})")
