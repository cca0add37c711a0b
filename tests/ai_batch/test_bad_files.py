"""What a file may hold that it must not: the documented error by line, nothing spent, nothing left."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from django.core.files.storage import default_storage

from ai_batch.domain import lines as rules
from ai_batch.domain.lines import MAX_LINE_BYTES, Inspection, places
from ai_batch.domain.refusals import StorageFull
from ai_batch.models import Batch, Line, StoredFile
from ai_batch.services import files, finishing, ingest
from tests import world
from tests.ai_batch.conftest import jsonl, line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"


def numbered(count: int) -> Iterator[dict[str, Any]]:
    return (line(f"c{number}") for number in range(1, count + 1))


def many(count: int, at: int, odd: bytes) -> bytes:
    """``count`` lines, of which number ``at`` is ``odd``."""
    found = [json.dumps(each).encode() for each in numbered(count)]
    found[at - 1] = odd
    return b"\n".join(found)


CASES: list[tuple[str, Any, str, int | None, str | None]] = [
    ("not JSON on line 31,337", lambda: many(31_340, 31_337, b"{oops"), "invalid_json_line", 31_337, None),
    ("a list", lambda: b"[1]\n", "invalid_json_line", 1, None),
    ("a line of 5 MB", lambda: many(3, 2, b'"' + b"x" * 5_000_000 + b'"'), "line_too_long", 2, None),
    (
        "a custom_id twice, 40,000 lines apart",
        lambda: many(40_010, 40_006, json.dumps(line("c6")).encode()),
        "duplicate_custom_id",
        40_006,
        "custom_id",
    ),
    ("no custom_id", lambda: jsonl({"method": "POST"}), "missing_required_parameter", 1, "custom_id"),
    (
        "a number as custom_id",
        lambda: jsonl({**line("a"), "custom_id": 5}),
        "invalid_request",
        1,
        "custom_id",
    ),
    ("another method", lambda: jsonl({**line("a"), "method": "GET"}), "invalid_method", 1, "method"),
    ("another url", lambda: jsonl({**line("a"), "url": "/v1/embeddings"}), "invalid_url", 1, "url"),
    ("a body that is none", lambda: jsonl({**line("a"), "body": []}), "invalid_request", 1, "body"),
    ("no model", lambda: jsonl(line("a", model=None)), "invalid_request", 1, "body.model"),
    (
        "mixed models",
        lambda: jsonl(line("a"), line("b", model="gpt-4o")),
        "mismatched_model",
        2,
        "body.model",
    ),
    ("an unknown model", lambda: jsonl(line("a", model="gpt-9")), "model_not_found", 1, "body.model"),
    ("a parameter", lambda: jsonl(line("a", temperature=9)), "invalid_value", 1, "body.temperature"),
    ("an unknown one", lambda: jsonl(line("a", colour=9)), "unknown_parameter", 1, "body.colour"),
    ("a stream", lambda: jsonl(line("a", stream=True)), "streaming_unsupported", 1, "body.stream"),
    ("50,001 lines", lambda: jsonl(*numbered(50_001)), "too_many_tasks", None, "input_file_id"),
    ("nothing", lambda: b"", "empty_file", None, "input_file_id"),
    ("blank lines", lambda: b"\n \r\n\n", "empty_file", None, "input_file_id"),
    ("UTF-16", lambda: jsonl(line("a")).decode().encode("utf-16"), "invalid_json_line", 1, None),
    ("a byte order mark", lambda: b"\xef\xbb\xbf" + jsonl(line("a")), "invalid_json_line", 1, None),
    ("gzip", lambda: gzip.compress(jsonl(line("a"))), "invalid_json_line", 1, None),
]


@pytest.mark.parametrize(
    ("content", "code", "number", "param"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_the_batch_fails_with_the_line(
    api: Api, cast: Cast, content: Any, code: str, number: int | None, param: str | None
) -> None:
    alice = api.as_(cast.alice)
    budget = world.make_budget(cast.company, "5")
    file = alice.post("/v1/files", data={"purpose": "batch"}, files={"file": ("b.jsonl", content())}).json()
    body = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    made = alice.post("/v1/batches", body).json()
    assert made["status"] == "validating"
    ingest.validate(Batch.objects.unscoped().get(batch_id=made["id"]).pk)

    told = alice.get(f"/v1/batches/{made['id']}").json()
    assert told["status"] == "failed"
    first = told["errors"]["data"][0]
    assert (first["code"], first["line"], first["param"]) == (code, number, param)
    assert told["errors"]["count"] == 1
    assert told["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert not Line.objects.filter(batch__batch_id=made["id"]).exists()
    window = world.window(budget)
    assert window is None or (window.reserved, window.spent) == (0, 0)


def test_the_first_hundred_errors_and_how_many_there_are(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    requests = [line(f"c{n}", temperature=9) for n in range(250)]
    made = alice.post("/api/batch/create", {"endpoint": CHAT, "requests": requests}).json()["batch"]
    ingest.validate(Batch.objects.unscoped().get(batch_id=made["id"]).pk)
    errors = alice.get(f"/v1/batches/{made['id']}").json()["errors"]
    assert (errors["count"], [each["line"] for each in errors["data"]]) == (250, list(range(1, 101)))


def test_crlf_and_a_last_line_without_an_end_are_fine(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    content = jsonl(line("a"), line("b")).replace(b"\n", b"\r\n").rstrip()
    form = {"endpoint": CHAT, "engine": "hub"}
    made = alice.post("/api/batch/create", data=form, files={"file": ("b.jsonl", content)}).json()["batch"]
    assert work(Batch.objects.unscoped().get(batch_id=made["id"])).completed == 2


def test_a_file_deleted_while_it_runs(api: Api, cast: Cast) -> None:
    """Its owner knows it no more; the batch reads it to its end, then the content goes."""
    alice = api.as_(cast.alice)
    form = {"endpoint": CHAT, "engine": "hub"}
    upload = {"file": ("b.jsonl", jsonl(line("a"), line("b")))}
    made = alice.post("/api/batch/create", data=form, files=upload).json()["batch"]
    batch = Batch.objects.unscoped().get(batch_id=made["id"])
    ingest.validate(batch.pk)
    assert alice.request("DELETE", f"/v1/files/{made['input_file_id']}").status_code == 200
    assert alice.get(f"/v1/files/{made['input_file_id']}/content").status_code == 404
    assert work(batch).completed == 2
    name = StoredFile.objects.of(cast.company.pk).get(purpose="batch").name
    assert default_storage.exists(name)
    files.remove_unread()
    assert not default_storage.exists(name)


def test_a_deleted_file_begins_no_batch(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    file = alice.post("/api/batch/upload", files={"file": ("b.jsonl", jsonl(line("a")))}).json()["file"]
    alice.request("DELETE", f"/v1/files/{file['id']}")
    body = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    made = alice.post("/v1/batches", body).json()
    ingest.validate(Batch.objects.unscoped().get(batch_id=made["id"]).pk)
    errors = alice.get(f"/v1/batches/{made['id']}").json()["errors"]["data"]
    assert [(each["code"], each["param"]) for each in errors] == [("invalid_request", "file_id")]


def test_too_many_inputs_of_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_EMBEDDING_INPUTS", 5)
    inspection = Inspection("/v1/embeddings")
    for number in range(2):
        body = {"model": "text-embedding-3-small", "input": ["a", "b", "c"]}
        request = {"custom_id": str(number), "method": "POST", "url": "/v1/embeddings", "body": body}
        for place in places(io.BytesIO(jsonl(request))):
            inspection.read(place._replace(number=number + 1))
    inspection.finish()
    assert [problem.code for problem in inspection.problems] == ["too_many_tasks"]


def test_places_know_where_lines_lie() -> None:
    content = b'{"a":1}\n\n' + b"x" * (MAX_LINE_BYTES + 5) + b"\n{}\r\n{}"
    found = list(places(io.BytesIO(content)))
    assert [(place.number, place.raw) for place in found] == [
        (1, b'{"a":1}\n'),
        (3, None),
        (4, b"{}\r\n"),
        (5, b"{}"),
    ]
    assert all(content[p.offset :].startswith(p.raw) for p in found if p.raw is not None)


def test_a_content_that_vanishes_while_it_runs(api: Api, cast: Cast) -> None:
    """Nobody deleted it: the storage lost it. Each line says so, and nothing is spent."""
    alice = api.as_(cast.alice)
    budget = world.make_budget(cast.company, "5")
    upload = {"file": ("b.jsonl", jsonl(line("a"), line("b")))}
    made = alice.post("/api/batch/create", data={"endpoint": CHAT, "engine": "hub"}, files=upload).json()[
        "batch"
    ]
    batch = Batch.objects.unscoped().get(batch_id=made["id"])
    ingest.validate(batch.pk)
    default_storage.delete(StoredFile.objects.of(cast.company.pk).get().name)
    done = work(batch)
    assert (done.status, done.completed, done.failed) == ("completed", 0, 2)
    errors = alice.get(f"/api/batch/{batch.batch_id}/results?type=error").text.splitlines()
    said = [json.loads(each)["response"]["body"]["error"]["message"] for each in errors]
    assert said == ["The content of the batch's file is gone."] * 2
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, 0)


def test_a_disk_that_is_full_when_the_results_are_written(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch waits for room; then all of it is there, once."""
    alice = api.as_(cast.alice)
    upload = {"file": ("b.jsonl", jsonl(line("a"), line("b")))}
    made = alice.post("/api/batch/create", data={"endpoint": CHAT, "engine": "hub"}, files=upload).json()[
        "batch"
    ]
    batch = Batch.objects.unscoped().get(batch_id=made["id"])

    def full(self: Any, block: bytes) -> None:
        raise StorageFull

    with monkeypatch.context() as patch:
        patch.setattr(files.Incoming, "write", full)
        with pytest.raises(StorageFull):
            work(batch)
    batch.refresh_from_db()
    assert (batch.status, batch.output_file, batch.lease_until) == ("finalizing", None, None)
    assert finishing.finish(batch.pk) is True
    told = alice.get(f"/api/batch/{batch.batch_id}/results").text.splitlines()
    assert [json.loads(each)["custom_id"] for each in told] == ["a", "b"]


def test_limits_are_the_providers() -> None:
    assert (rules.MAX_REQUESTS, rules.MAX_FILE_BYTES) == (50_000, 200 * 1024 * 1024)
    assert rules.MAX_EMBEDDING_INPUTS == 50_000


@pytest.mark.parametrize(
    "path", ["/api/batch/create", "/api/batch/validate", "/api/batch/upload", "/v1/files"]
)
def test_201_mb_are_refused_before_they_are_sent(api: Api, cast: Cast, path: str) -> None:
    """By what the client declares: nothing of it is read."""
    headers = {
        "Authorization": f"Bearer {cast.alice.token}",
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(201 * 1024 * 1024),
    }
    connection = HTTPConnection(api.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, "too large" in answer.read().decode()) == (400, True)
    connection.close()
    assert not StoredFile.objects.of(cast.company.pk).exists()
