"""Idempotency-Key where files and batches are made: one is made, and told again as it was told."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from ai_batch.models import Batch, BatchSchedule, StoredFile
from tests.ai_batch.conftest import jsonl, line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"
BAD = "no [sandbox: refuse_param=max_tokens]"
JSON = {"endpoint": CHAT, "requests": [line("a")], "engine": "hub"}
SCHEDULE = {"cron": "0 6 * * *", "endpoint": CHAT, "requests": [line("a")]}


@pytest.fixture
def alice(api: Api, cast: Cast) -> Api:
    return api.as_(cast.alice, Idempotency_Key="k-1")


def form(content: bytes = jsonl(line("a"))) -> dict[str, Any]:
    return {"data": {"endpoint": CHAT, "purpose": "batch"}, "files": {"file": ("b.jsonl", content)}}


POSTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/api/batch/create", {"json": JSON}, {"json": {**JSON, "engine": "auto"}}),
    ("/api/batch/create", form(), form(jsonl(line("b")))),
    ("/api/batch/create", {**form(b"prompt\nHi\n"), "files": {"file": ("t.csv", b"prompt\nHi\n")}}, form()),
    ("/api/batch/upload", {**form(), "data": {}}, {**form(jsonl(line("b"))), "data": {}}),
    ("/v1/files", {**form(), "data": {"purpose": "batch"}}, {**form(b"x"), "data": {"purpose": "batch"}}),
    ("/api/batch/schedules", {"json": SCHEDULE}, {"json": {**SCHEDULE, "cron": "0 7 * * *"}}),
    (
        "/v1/batches",
        {"json": {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}},
        {"json": {"input_file_id": "file-y", "endpoint": CHAT, "completion_window": "24h"}},
    ),
]


def count(cast: Cast) -> list[int]:
    models = (Batch, StoredFile, BatchSchedule)
    return [model.objects.of(cast.company.pk).count() for model in models]


@pytest.mark.parametrize(("path", "asked", "other"), POSTS)
def test_it_works(alice: Api, cast: Cast, path: str, asked: dict[str, Any], other: dict[str, Any]) -> None:
    first = alice.request("POST", path, **asked)
    assert first.status_code in (200, 201), first.text
    made = count(cast)
    again = alice.request("POST", path, **asked)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (
        None,
        "true",
    )
    assert alice.request("POST", path, **other).status_code == 422
    assert count(cast) == made
    assert list((settings.HUB_FILES_DIR / "incoming").glob("*")) == []


def test_a_refused_request_leaves_its_key(alice: Api, cast: Cast) -> None:
    assert alice.post("/api/batch/create", {**JSON, "requests": []}).status_code == 400
    assert alice.post("/api/batch/create", JSON).status_code == 201


def test_retry_failed(alice: Api, api: Api, cast: Cast) -> None:
    api.as_(cast.alice).post("/api/batch/create", {**JSON, "requests": [line("a", BAD)]})
    batch = work(Batch.objects.of(cast.company.pk).get())
    told = [alice.post(f"/api/batch/{batch.batch_id}/retry_failed").json() for _ in range(2)]
    assert told[0] == told[1]
    assert Batch.objects.of(cast.company.pk).count() == 2


def test_the_bell_is_rung_once(alice: Api, rung: list[Any]) -> None:
    for _ in range(2):
        alice.post("/api/batch/create", JSON)
    assert [task for task, _, _ in rung].count("ai_batch.validate") == 1


def test_a_key_is_its_persons(alice: Api, api: Api, cast: Cast) -> None:
    assert alice.post("/api/batch/create", JSON).status_code == 201
    bob = api.as_(cast.bob, Idempotency_Key="k-1")
    assert bob.post("/api/batch/create", JSON).status_code == 422
