"""``/api/batch/…``: the batch guide's surface, from a list or a table to results with their costs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from ai_batch.api import links
from ai_batch.models import Batch, StoredFile
from ai_batch.services import chores, engine, ingest
from megahub.kernel import loop
from tests.ai_batch.conftest import jsonl, line, work
from tests.conftest import Api
from tests.world import Cast

Rung = list[tuple[str, tuple[Any, ...], str]]
CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.usefixtures("rung")


@pytest.fixture
def alice(api: Api, cast: Cast) -> Api:
    return api.as_(cast.alice)


def row(answer: Any) -> Batch:
    assert answer.status_code == 201, answer.text
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])


def made(alice: Api, *lines: Any, **fields: Any) -> Batch:
    body = {
        "endpoint": CHAT,
        "completion_window": "24h",
        "requests": list(lines),
        "engine": "hub",
        **fields,
    }
    return row(alice.post("/api/batch/create", body))


BAD = "no [sandbox: refuse_param=max_tokens]"


class TestCreate:
    def test_of_requests(self, alice: Api) -> None:
        batch = made(alice, line("a"), line("b"), metadata={"project": "x"})
        told = alice.get(f"/api/batch/{batch.batch_id}?refresh=true").json()
        assert told["success"] is True
        assert told["batch"]["status"] == "validating"
        work(batch)
        told = alice.get(f"/api/batch/{batch.batch_id}").json()["batch"]
        assert (told["status"], told["metadata"]) == ("completed", {"project": "x"})
        assert told["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
        assert (told["progress"]["percent"], told["progress"]["seconds_left"]) == (100.0, None)
        assert told["usage"]["total_tokens"] > 0

    def test_of_a_file_uploaded_before(self, alice: Api) -> None:
        file = alice.post("/api/batch/upload", files={"file": ("b.jsonl", jsonl(line("a")))})
        assert (file.status_code, file.json()["success"]) == (201, True)
        body = {"input_file_id": file.json()["file"]["id"], "endpoint": CHAT, "completion_window": "24h"}
        assert work(row(alice.post("/api/batch/create", body))).completed == 1

    def test_of_a_file_sent_along(self, alice: Api) -> None:
        form = {"endpoint": CHAT, "metadata": '{"k": "v"}', "engine": "hub", "max_attempts": "2"}
        answer = alice.post("/api/batch/create", data=form, files={"file": ("b.jsonl", jsonl(line("a")))})
        batch = row(answer)
        assert (batch.metadata, batch.engine_asked, batch.max_attempts) == ({"k": "v"}, "hub", 2)
        assert work(batch).completed == 1

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"endpoint": CHAT, "requests": []}, "requests"),
            ({"endpoint": CHAT, "requests": "x"}, "requests"),
            ({"endpoint": CHAT, "requests": [1]}, "requests"),
            ({"endpoint": CHAT, "requests": [{}], "input_file_id": "file-x"}, "input_file_id"),
            ({"requests": [{}]}, "endpoint"),
            ({"endpoint": CHAT, "requests": [{}], "colour": 1}, "colour"),
        ],
    )
    def test_bad_bodies(self, alice: Api, cast: Cast, body: dict[str, Any], param: str) -> None:
        answer = alice.post("/api/batch/create", body)
        assert answer.status_code == 400
        assert answer.json()["success"] is False
        assert param in answer.json()["detail"]
        assert not Batch.objects.of(cast.company.pk).exists()
        assert not StoredFile.objects.of(cast.company.pk).exists()


class TestUpload:
    def test_it_works(self, alice: Api) -> None:
        content = jsonl(line("a"))
        form = {"purpose": "batch"}
        told = alice.post("/api/batch/upload", data=form, files={"file": ("b.jsonl", content)}).json()
        assert told["success"] is True
        assert (told["file"]["filename"], told["file"]["bytes"]) == ("b.jsonl", len(content))

    def test_another_kind(self, alice: Api) -> None:
        answer = alice.post("/api/batch/upload", files={"file": ("b.pdf", b"x")})
        assert (answer.status_code, answer.json()["success"]) == (400, False)


def workbook(*rows: Any) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    for number, each in enumerate(rows):
        sheet.write_row(number, 0, each)
    book.close()
    return file.getvalue()


class TestTables:
    def test_the_template_is_taken_back(self, alice: Api) -> None:
        template = alice.get("/api/batch/template")
        assert template.headers["content-type"].startswith("text/csv")
        answer = alice.post(
            "/api/batch/create", data={"endpoint": CHAT}, files={"file": ("t.csv", template.content)}
        )
        batch = work(row(answer))
        assert (batch.completed, batch.failed) == (1, 0)

    def test_a_workbook_with_a_template(self, alice: Api) -> None:
        body = {
            "model": "gpt-4o-mini",
            "max_tokens": "{{limit}}",
            "messages": [{"role": "user", "content": "Translate: {{text}}"}],
        }
        content = workbook(["custom_id", "text", "limit"], ["eins", "one", 7], ["zwei", "two", 8])
        form = {"endpoint": CHAT, "template": json.dumps(body)}
        batch = row(alice.post("/api/batch/create", data=form, files={"file": ("t.xlsx", content)}))
        file = StoredFile.objects.of(batch.company_id).get()
        assert file.filename == "t.jsonl"
        stored = alice.get(f"/v1/files/{file.file_id}/content").text.splitlines()
        assert [json.loads(each)["body"] for each in stored] == [
            {
                "model": "gpt-4o-mini",
                "max_tokens": limit,
                "messages": [{"role": "user", "content": f"Translate: {text}"}],
            }
            for text, limit in (("one", 7), ("two", 8))
        ]

    @pytest.mark.parametrize(
        ("name", "content", "form", "field"),
        [
            ("t.csv", b"colour\nred\n", {}, "file"),
            ("t.csv", b"prompt,prompt\na,b\n", {}, "file"),
            ("t.csv", b"prompt\n", {}, "file"),
            ("t.csv", b"", {}, "file"),
            ("t.csv", "prompt\na\n".encode("utf-16"), {}, "file"),
            ("t.csv", b"prompt,max_tokens\na,many\n", {}, "file"),
            ("t.csv", b"a\nb\n", {"template": '{"x": "{{c}}"}'}, "template"),
            ("t.csv", b"a\nb\n", {"template": "{"}, "template"),
            ("t.xlsx", b"no archive", {}, "file"),
        ],
    )
    def test_bad_tables(
        self, alice: Api, cast: Cast, name: str, content: bytes, form: dict[str, str], field: str
    ) -> None:
        answer = alice.post(
            "/api/batch/create", data={"endpoint": CHAT, **form}, files={"file": (name, content)}
        )
        assert answer.status_code == 400
        told = answer.json()
        assert field in (told.get("field_errors") or told["detail"])
        assert not StoredFile.objects.of(cast.company.pk).exists()
        assert not Batch.objects.of(cast.company.pk).exists()

    def test_a_bomb(self, alice: Api, cast: Cast) -> None:
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", b"\0" * 50_000_000)
        answer = alice.post(
            "/api/batch/create", data={"endpoint": CHAT}, files={"file": ("t.xlsx", bomb.getvalue())}
        )
        assert answer.status_code == 400
        assert answer.json()["field_errors"] == {"file": ["The workbook is too large when it is unpacked."]}
        assert not StoredFile.objects.of(cast.company.pk).exists()


class TestList:
    def test_by_cursor(self, alice: Api) -> None:
        ids = [made(alice, line("a")).batch_id for _ in range(3)]
        told = alice.get("/api/batch/list?limit=2").json()
        assert (told["success"], told["object"], told["has_more"]) == (True, "list", True)
        assert [each["id"] for each in told["data"]] == [ids[2], ids[1]]
        assert (told["first_id"], told["last_id"]) == (ids[2], ids[1])
        rest = alice.get(f"/api/batch/list?source=api&after={ids[1]}").json()
        assert [each["id"] for each in rest["data"]] == [ids[0]]

    def test_by_offset(self, alice: Api) -> None:
        ids = [made(alice, line("a")).batch_id for _ in range(3)]
        Batch.objects.unscoped().filter(batch_id=ids[0]).update(status="failed")
        told = alice.get("/api/batch/list?source=local&limit=1&offset=1").json()
        assert ([each["id"] for each in told["data"]], told["has_more"], told["total"]) == (
            [ids[1]],
            True,
            3,
        )
        told = alice.get("/api/batch/list?source=local&status=failed").json()
        assert [each["id"] for each in told["data"]] == [ids[0]]

    def test_filters(self, alice: Api) -> None:
        ids = [made(alice, line("a")).batch_id for _ in range(3)]
        rows = Batch.objects.unscoped()
        rows.filter(batch_id=ids[0]).update(status="expired", created_at="2026-01-02T00:00:00Z")
        rows.filter(batch_id=ids[1]).update(endpoint="/v1/embeddings", engine="hub")

        def found(query: str, source: str = "api") -> list[str]:
            answer = alice.get(f"/api/batch/list?source={source}&{query}")
            return [each["id"] for each in answer.json()["data"]]

        for source in ("api", "local"):
            assert found("status=expired", source) == [ids[0]]
            assert found("endpoint=/v1/embeddings", source) == [ids[1]]
            assert found("engine=hub", source) == [ids[1]]
            assert found("created_before=1767400000", source) == [ids[0]]
            assert found("created_after=1767400000", source) == [ids[2], ids[1]]
            assert found(f"search={ids[2][-8:].upper()}", source) == [ids[2]]
            assert found("search=REQUESTS.json&status=validating", source) == [ids[2], ids[1]]

    @pytest.mark.parametrize(
        "query",
        [
            "engine=auto",
            "endpoint=chat",
            "created_after=yesterday",
            "created_before=-1",
            "search=",
            f"search={'x' * 81}",
            "source=moon",
            "limit=0",
            "source=local&after=x",
            "offset=1",
            "source=local&status=odd",
            "source=local&offset=-1",
        ],
    )
    def test_bad_queries(self, alice: Api, query: str) -> None:
        answer = alice.get(f"/api/batch/list?{query}")
        assert (answer.status_code, answer.json()["success"]) == (400, False)


class TestResults:
    def test_lines_and_tables(self, alice: Api) -> None:
        batch = work(made(alice, line("=a"), line("b", BAD), line("c")))
        path = f"/api/batch/{batch.batch_id}/results"
        lines = [json.loads(each) for each in alice.get(path).text.splitlines()]
        assert [each["custom_id"] for each in lines] == ["=a", "c"]
        errors = [json.loads(each) for each in alice.get(f"{path}?type=error").text.splitlines()]
        assert [each["response"]["status_code"] for each in errors] == [400]

        table = alice.get(f"{path}?format=csv")
        rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
        assert [each["custom_id"] for each in rows] == ["'=a", "c"]
        told = [each["response"]["body"]["choices"][0]["message"]["content"] for each in lines]
        assert [each["answer"] for each in rows] == told
        spent = list(batch.lines.filter(status="completed").order_by("line_no"))
        assert [int(each["output_tokens"]) for each in rows] == [each.output_tokens for each in spent]
        assert sum(float(each["cost_usd"]) for each in rows) == pytest.approx(
            batch.cost_nano_usd / 1e9, abs=2e-6
        )

        book = alice.get(f"{path}?format=xlsx&type=error").content
        cells = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_index(0).to_python()
        assert cells[1][1:4] == ["b", "failed", 400.0]

    def test_a_link_that_a_browser_follows(
        self, alice: Api, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batch = work(made(alice, line("a"), line("b", BAD)))
        path = f"/api/batch/{batch.batch_id}/results"
        for kind, form in (("output", "jsonl"), ("error", "csv"), ("output", "xlsx")):
            asked = f"{path}?type={kind}&format={form}"
            told = alice.get(f"{asked}&link=true").json()
            assert told["url"].startswith("/console/batches/results/")
            file, own = api.get(told["url"]), alice.get(asked)  # nobody is signed in: the link lets in
            assert (file.status_code, file.headers["content-type"]) == (200, own.headers["content-type"])
            assert file.headers["content-disposition"] == own.headers["content-disposition"]
            assert file.headers["cache-control"] == "private, no-store"
            assert form == "xlsx" or file.content == own.content
        for odd in (told["url"] + "x", "/console/batches/results/x"):
            refused = api.get(odd)
            assert (refused.status_code, refused.text) == (404, "This link is not good, or not any more.")
        monkeypatch.setattr(links, "GOOD_SECONDS", -1)
        assert api.get(told["url"]).status_code == 404
        odd_link = alice.get(f"{path}?link=maybe")
        assert (odd_link.status_code, "maybe" in odd_link.text, "link" in odd_link.text) == (
            400,
            True,
            True,
        )

    def test_while_it_runs(self, alice: Api) -> None:
        batch = made(alice, line("a"), line("b", "[sandbox: delay=5s]"))
        ingest.validate(batch.pk)
        loop.run(engine.wake())
        while not batch.lines.filter(status="completed").exists():
            pass
        lines = alice.get(f"/api/batch/{batch.batch_id}/results").text.splitlines()
        assert [json.loads(each)["custom_id"] for each in lines] == ["a"]
        work(batch)

    @pytest.mark.parametrize("query", ["type=odd", "format=pdf", "x=1"])
    def test_bad_queries(self, alice: Api, query: str) -> None:
        batch = made(alice, line("a"))
        assert alice.get(f"/api/batch/{batch.batch_id}/results?{query}").status_code == 400


def test_retry_failed(alice: Api) -> None:
    first = made(alice, line("a"), line("b", BAD), line("c", BAD))
    path = f"/api/batch/{first.batch_id}/retry_failed"
    assert alice.post(path).status_code == 409
    work(first)
    answer = alice.post(path)
    again = work(row(answer))
    assert answer.json()["batch"]["parent_id"] == first.batch_id
    assert (again.total, again.failed) == (2, 2)
    assert list(again.lines.order_by("line_no").values_list("custom_id", flat=True)) == ["b", "c"]
    whole = work(made(alice, line("a")))
    assert (
        alice.post(f"/api/batch/{whole.batch_id}/retry_failed").json()["error_code"] == "NOTHING_TO_RETRY"
    )


def test_cancel(alice: Api) -> None:
    batch = made(alice, line("a"))
    ingest.validate(batch.pk)
    told = alice.post(f"/api/batch/{batch.batch_id}/cancel").json()
    assert (told["success"], told["batch"]["status"]) == (True, "cancelling")
    assert told["batch"]["cancelling_at"] is not None
    chores.stop(batch.pk)
    assert work(batch).status == "cancelled"
    assert alice.post(f"/api/batch/{batch.batch_id}/cancel").status_code == 200


def test_statistics(alice: Api) -> None:
    batch = work(made(alice, line("a"), line("b", BAD)))
    made(alice, line("a"))
    stats = alice.get("/api/batch/stats").json()["stats"]
    assert stats["total_batches"] == 2
    assert stats["by_status"] == {"completed": 1, "validating": 1}
    assert stats["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert stats["usage"]["total_tokens"] == batch.input_tokens + batch.output_tokens
    table = alice.get("/api/batch/stats?format=csv").content.decode("utf-8-sig")
    assert ["by_status.completed", "1"] in list(csv.reader(io.StringIO(table)))
    assert alice.get("/api/batch/stats?format=pdf").status_code == 400


def test_events(alice: Api) -> None:
    batch = work(made(alice, line("a")))
    answer = alice.get(f"/api/batch/{batch.batch_id}/events")
    assert answer.headers["content-type"] == "text/event-stream"
    event, data = answer.text.strip().split("\n")
    assert event == "event: completed"
    assert json.loads(data.removeprefix("data: "))["request_counts"]["completed"] == 1
