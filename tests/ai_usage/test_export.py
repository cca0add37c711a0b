"""Usage as a file: whole, filtered, tied to the ledger, and nothing in it that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from ai_core.models import AIJob
from ai_usage.domain import exports
from ai_usage.models import LedgerEntry
from ai_usage.selectors import exporting
from tests.conftest import Api
from tests.stubs import completion
from tests.world import Cast

URL = "/ai/usage/export/"
CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
NASTY = '=HYPERLINK("http://evil.example","x")\n+1, \'quoted\'\t漢字'


@pytest.fixture
def used(api: Api, cast: Cast, provider: Any) -> int:
    """Five jobs of alice's and one of charlie's; the first one's description is a formula."""
    provider(completion("Hi."))
    for _ in range(5):
        assert api.as_(cast.alice).post(CHAT, BODY).status_code == 200
    assert api.as_(cast.charlie).post(CHAT, BODY).status_code == 200
    first = AIJob.objects.of(cast.company.pk).order_by("pk")[0]
    AIJob.objects.of(cast.company.pk).filter(pk=first.pk).update(description=NASTY)
    return 5


def exported(api: Api, cast: Cast, **params: Any) -> Any:
    response = api.as_(cast.alice).get(URL, params=params)
    assert response.status_code == 200, response.text
    return response


def lines(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


def test_csv(api: Api, cast: Cast, used: int) -> None:
    response = exported(api, cast)

    rows = lines(response)
    assert list(rows[0]) == list(exports.NAMES)
    assert len(rows) == used
    assert {row["model"] for row in rows} == {"gpt-4o-mini"}
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="usage-20')


@pytest.mark.parametrize("format", ["csv", "jsonl", "xlsx"])
def test_the_totals_are_the_ledgers(api: Api, cast: Cast, used: int, format: str) -> None:
    response = exported(api, cast, format=format)

    entries = LedgerEntry.objects.of(cast.company.pk)
    spent = Decimal(entries.aggregate(cost=Sum("cost_nano_usd"))["cost"]).scaleb(-9)
    assert response.headers["x-export-rows"] == str(used)
    assert Decimal(response.headers["x-export-total-cost-usd"]) == spent
    assert response.headers["x-export-unpriced"] == "0"
    if format == "csv":
        assert sum(Decimal(row["total_cost_usd"]) for row in lines(response)) == spent
    if format == "jsonl":
        told = [json.loads(line) for line in response.text.splitlines()]
        assert sum(Decimal(row["total_cost_usd"]) for row in told) == spent


def test_a_workbook(api: Api, cast: Cast, used: int) -> None:
    response = exported(api, cast, format="xlsx")

    with zipfile.ZipFile(io.BytesIO(response.content)) as book:
        sheets = [book.read(f"xl/worksheets/sheet{n}.xml").decode() for n in (1, 2)]
        names = book.read("xl/workbook.xml").decode()
    assert sheets[0].count("<row ") == used + 1
    assert "=HYPERLINK" in sheets[0]
    assert not any("<f>" in sheet for sheet in sheets)  # no formula in it, only texts
    assert 'name="Usage"' in names
    assert 'name="Totals"' in names
    assert "<t>total_cost_usd</t>" in sheets[1]


def test_no_cell_of_a_csv_runs(api: Api, cast: Cast, used: int) -> None:
    rows = lines(exported(api, cast))

    assert rows[0]["description"] == f"'{NASTY}"


def test_only_what_is_filtered(api: Api, cast: Cast, used: int) -> None:
    assert len(lines(exported(api, cast, model="o3"))) == 0
    assert len(lines(exported(api, cast, total_cost__gte="0", model="gpt-4o-mini"))) == used
    early = exported(api, cast, created_at__lte="2020-01-01", format="xlsx")
    assert early.headers["x-export-rows"] == "0"


@pytest.mark.parametrize("format", ["csv", "jsonl", "xlsx"])
def test_a_filter_that_no_row_can_pass(api: Api, cast: Cast, used: int, format: str) -> None:
    """Django makes no query of it at all."""
    assert exported(api, cast, success_rate__lt="0", format=format).headers["x-export-rows"] == "0"


FILTERS: dict[str, Any] = {
    "ai_job__status": "completed",
    "cost_efficiency__gte": 0,
    "created_at__gte": "2020-01-01",
    "execution_time_seconds__gte": 0,
    "execution_time_seconds__lte": 0.0001,
    "generation": "new",
    "generation__in": "new,legacy",
    "model": "gpt-4o-mini",
    "model__in": "o3,gpt-4o-mini",
    "model__startswith": "gpt",
    "model_name": "o3",
    "performance_tier": "good",
    "provider": "openai",
    "provider_name": "openai",
    "quality_score__gte": 1,
    "reasoning_effort": "high",
    "sandbox": "true",
    "success_rate__lt": 0.5,
    "total_cost__gte": 0,
    "total_cost__lte": 0,
    "ai_job__brand": None,
    "created_at__lte": "2020-01-01",
}


@pytest.mark.parametrize(("name", "value"), FILTERS.items())
def test_every_filter_of_the_list(api: Api, cast: Cast, used: int, name: str, value: Any) -> None:
    given = {name: cast.brand.pk if value is None else value}

    listed = api.as_(cast.alice).get("/ai/usage/", params=given).json()["results"]

    assert sorted(row["job_id"] for row in lines(exported(api, cast, **given))) == sorted(
        row["ai_job"]["job_id"] for row in listed
    )


def test_it_has_no_pages_and_one_order(api: Api, cast: Cast) -> None:
    for name in ("page", "page_size", "cursor", "ordering"):
        answer = api.as_(cast.alice).get(f"{URL}?{name}=1")
        assert (answer.status_code, answer.json()["invalid_params"]) == (400, [name])


def test_however_many_chunks(api: Api, cast: Cast, used: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CHUNK_ROWS", 2)
    monkeypatch.setattr(exporting, "LINES_AT_ONCE", 2)

    found = [row["job_id"] for row in lines(exported(api, cast))]

    own = AIJob.objects.of(cast.company.pk).order_by("pk").values_list("job_id", flat=True)
    assert found == list(own)


@pytest.mark.parametrize(
    ("query", "field"),
    [("format=pdf", "format"), ("format=", "format"), ("total_cost__gte=much", "total_cost__gte")],
)
def test_bad_parameters(api: Api, cast: Cast, query: str, field: str) -> None:
    response = api.as_(cast.alice).get(f"{URL}?{query}")

    assert response.status_code == 400
    assert list(response.json()["field_errors"]) == [field]


def test_an_unknown_filter(api: Api, cast: Cast) -> None:
    response = api.as_(cast.alice).get(f"{URL}?colour=blue")

    assert (response.status_code, response.json()["invalid_params"]) == (400, ["colour"])


@pytest.mark.parametrize(
    "text",
    [
        "=1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\u00a0=1",
        "＝1",
        "＋1",
        "－1",
        "＠1",
        "a\n=1",
        "a\r\n -1",
    ],
)
def test_what_could_run_does_not(text: str) -> None:
    assert exports.inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "plain", "漢字", "1", "a\nb", "e-mail"])
def test_what_cannot_stays(text: str) -> None:
    assert exports.inert(text) == text


def test_money_is_exact() -> None:
    row = [None] * len(exports.NAMES)
    row[exports.NAMES.index("total_cost_usd")] = 12_345_678_901_234_567
    row[exports.NAMES.index("created_at")] = datetime(2026, 11, 21, 1, 2, 3, 4000, tzinfo=UTC)

    text = exports.CsvWriter().rows([row]).decode()

    assert '"12345678.901234567"' in text
    assert '"2026-11-21T01:02:03.004Z"' in text
