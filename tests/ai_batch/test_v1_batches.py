"""The official client's batch flow on the hub's own engine, and what the batch costs."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from django.db import transaction

from ai_batch.models import Batch, Line, LineResult
from ai_batch.services import batches, chores, finishing, ingest
from ai_usage.models import LedgerEntry
from tests import world
from tests.ai_batch.conftest import jsonl, line, work
from tests.conftest import Api
from tests.world import Cast

Rung = list[tuple[str, tuple[Any, ...], str]]


@pytest.fixture
def client(cast: Cast, live_url: str, rung: Rung) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live_url}/v1", api_key=cast.alice.token, max_retries=0)


def test_it_works(client: openai.OpenAI, cast: Cast) -> None:
    budget = world.make_budget(cast.company, "5")
    content = jsonl(
        line("a", "one"), line("b", "two [sandbox: refuse_param=max_tokens]"), line("c", "three")
    )
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename, file.purpose) == (len(content), "requests.jsonl", "batch")
    assert client.files.content(file.id).read() == content

    made = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"k": "v"},
        extra_body={"engine": "hub"},
    )
    assert made.status == "validating"
    row = work(Batch.objects.unscoped().get(batch_id=made.id))

    done = client.batches.retrieve(made.id)
    assert (done.status, done.metadata, done.errors) == ("completed", {"k": "v"}, None)
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    output = [
        json.loads(each) for each in client.files.content(done.output_file_id or "").text.splitlines()
    ]
    assert [each["custom_id"] for each in output] == ["a", "c"]
    assert [each["response"]["status_code"] for each in output] == [200, 200]
    (error,) = [
        json.loads(each) for each in client.files.content(done.error_file_id or "").text.splitlines()
    ]
    assert (error["custom_id"], error["response"]["status_code"], error["error"]) == ("b", 400, None)

    lines = list(Line.objects.filter(batch=row).order_by("line_no"))
    assert [each.status for each in lines] == ["completed", "failed", "completed"]
    entries = LedgerEntry.objects.of(cast.company.pk).order_by("-job_id")
    assert [entry.kind for entry in entries] == ["settle", "void", "settle"]
    cost = sum(entry.cost_nano_usd for entry in entries)
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, cost)
    assert row.cost_nano_usd == cost > 0
    assert not LineResult.objects.filter(batch=row).exists()
    assert [each.id for each in client.batches.list()] == [made.id]


def test_a_batch_that_does_not_fit_is_refused_with_the_figures(client: openai.OpenAI, cast: Cast) -> None:
    budget = world.make_budget(cast.company, "0.000010")
    file = client.files.create(file=("r.jsonl", jsonl(line("a"), line("b"))), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    work(Batch.objects.unscoped().get(batch_id=made.id))

    done = client.batches.retrieve(made.id)
    assert done.status == "failed"
    assert done.errors is not None
    assert done.errors.data is not None
    (error,) = done.errors.data
    assert error.code == "insufficient_quota"
    assert "0.000010 USD of the month budget (company) are left" in (error.message or "")
    window = world.window(budget)
    assert window is None or (window.reserved, window.spent) == (0, 0)
    assert Line.objects.filter(batch__batch_id=made.id).count() == 0


def test_cancelled_lines_are_in_the_error_file(client: openai.OpenAI, cast: Cast) -> None:
    budget = world.make_budget(cast.company, "5")
    file = client.files.create(file=("r.jsonl", jsonl(line("a"), line("b"))), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_body={"engine": "hub"},
    )
    row = Batch.objects.unscoped().get(batch_id=made.id)
    ingest.validate(row.pk)
    assert client.batches.cancel(made.id).status == "cancelling"
    chores.stop(row.pk)
    finishing.finish(row.pk)

    done = client.batches.retrieve(made.id)
    assert (done.status, done.output_file_id) == ("cancelled", None)
    told = [json.loads(each) for each in client.files.content(done.error_file_id or "").text.splitlines()]
    assert [each["error"]["code"] for each in told] == ["batch_cancelled", "batch_cancelled"]
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, 0)


def test_a_strangers_file_is_an_absent_one(client: openai.OpenAI, cast: Cast, api: Api) -> None:
    file = client.files.create(file=("r.jsonl", jsonl(line("a"))), purpose="batch")
    charlie = api.as_(cast.charlie)
    assert charlie.get(f"/v1/files/{file.id}").status_code == 404
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    told = []
    for file_id in (file.id, "file-000000000000000000000000"):
        made = charlie.post("/v1/batches", {**body, "input_file_id": file_id}).json()
        ingest.validate(Batch.objects.unscoped().get(batch_id=made["id"]).pk)
        failed = charlie.get(f"/v1/batches/{made['id']}").json()
        told.append((failed["status"], failed["errors"]["data"][0]["message"].replace(file_id, "X")))
    assert told[0] == told[1]
    assert told[0][0] == "failed"


class TestLists:
    def test_pages(self, cast: Cast, api: Api, rung: Rung) -> None:
        alice = api.as_(cast.alice)
        body = {
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "input_file_id": "file-none",
        }
        made = [alice.post("/v1/batches", body).json()["id"] for _ in range(3)]

        first = alice.get("/v1/batches?limit=2").json()
        assert [each["id"] for each in first["data"]] == [made[2], made[1]]
        assert (first["first_id"], first["last_id"], first["has_more"]) == (made[2], made[1], True)
        rest = alice.get(f"/v1/batches?limit=2&after={made[1]}").json()
        assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([made[0]], False)

    @pytest.mark.parametrize(
        ("query", "param"), [("limit=0", "limit"), ("limit=x", "limit"), ("after=b", "after"), ("x=1", "x")]
    )
    def test_bad_queries(self, cast: Cast, api: Api, query: str, param: str) -> None:
        answer = api.as_(cast.alice).get(f"/v1/batches?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"endpoint": "/v1/invalid"}, "endpoint", "invalid_value"),
        ({"endpoint": 5}, "endpoint", "invalid_value"),
        ({"completion_window": "1h"}, "completion_window", "invalid_value"),
        ({"input_file_id": None}, "input_file_id", "invalid_value"),
        ({"metadata": {"tags": ["a"]}}, "metadata.tags", "invalid_value"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "invalid_value"),
        ({"metadata": {"a": "x" * 513}}, "metadata", "invalid_value"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 5}},
            "output_expires_after.seconds",
            "invalid_value",
        ),
        ({"engine": "magic"}, "engine", "invalid_value"),
        ({"max_attempts": 0}, "max_attempts", "invalid_value"),
        ({"nonsense": 1}, "nonsense", "invalid_value"),
    ],
)
def test_what_is_refused_at_once(
    cast: Cast, api: Api, change: dict[str, Any], param: str, code: str
) -> None:
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "file-x"}
    answer = api.as_(cast.alice).post("/v1/batches", {**body, **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert not Batch.objects.of(cast.company.pk).exists()


def test_a_batch_that_waits_is_cancelled(cast: Cast, api: Api, rung: Rung) -> None:
    alice = api.as_(cast.alice)
    form = {"files": {"file": ("r.jsonl", jsonl(line("a")))}, "data": {"purpose": "batch"}}
    file = alice.request("POST", "/v1/files", **form).json()
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": file["id"]}
    made = alice.post("/v1/batches", body).json()

    answer = alice.post(f"/v1/batches/{made['id']}/cancel")

    assert (answer.status_code, answer.json()["id"]) == (200, made["id"])
    assert answer.json()["status"] in ("cancelling", "cancelled")


def test_who_ends_its_lines_is_rung_for_once_it_is_committed(cast: Cast, api: Api, rung: Rung) -> None:
    """A worker that came before saw a batch that was not stopped, and failed."""
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "file-x"}
    made = api.as_(cast.alice).post("/v1/batches", body).json()
    rung.clear()

    with transaction.atomic():
        batch = batches.cancel(cast.alice.caller, made["id"])
        assert rung == []

    assert rung == [("ai_batch.stop", (batch.pk,), "normal")]


def test_an_ended_batch_cannot_be_cancelled(cast: Cast, api: Api, rung: Rung) -> None:
    alice = api.as_(cast.alice)
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "file-x"}
    made = alice.post("/v1/batches", body).json()
    ingest.validate(Batch.objects.unscoped().get(batch_id=made["id"]).pk)
    answer = alice.post(f"/v1/batches/{made['id']}/cancel")
    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == "Cannot cancel a batch with status 'failed'."
