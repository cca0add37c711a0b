"""``POST /api/batch/validate``: what would become of a batch; nothing is kept, held or spent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings

from ai_batch.models import Batch, StoredFile
from ai_batch.services import ingest
from tests import world
from tests.ai_batch.conftest import jsonl, line
from tests.conftest import Api
from tests.world import Cast

PATH = "/api/batch/validate"
CHAT = "/v1/chat/completions"


@pytest.fixture
def alice(api: Api, cast: Cast) -> Api:
    return api.as_(cast.alice)


def told(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def nothing_is_left(cast: Cast) -> bool:
    kept = StoredFile.objects.of(cast.company.pk).exists() or Batch.objects.of(cast.company.pk).exists()
    return not kept and not list((settings.HUB_FILES_DIR / "incoming").glob("*"))


def test_it_works(alice: Api, cast: Cast) -> None:
    budget = world.make_budget(cast.company, "5")
    found = told(
        alice.post(PATH, data={"endpoint": CHAT}, files={"file": ("b.jsonl", jsonl(line("a"), line("b")))})
    )
    budgets = [each for each in found.pop("budgets") if each["limit"] == "5.000000"]
    assert found == {
        "success": True,
        "valid": True,
        "fits": True,
        "total": 2,
        "model": "gpt-4o-mini",
        "engine": "provider",
        "sandbox": True,
        "errors": {"object": "list", "data": [], "count": 0},
        "estimate": {
            "input_tokens": 20,
            "most_tokens": 84,
            "most_cost_usd": "0.000015",
            "most_cost_without_batch_usd": "0.000031",
            "held_usd": "0.000015",
        },
    }
    assert [(each["remaining"], each["requested"], each["fits"]) for each in budgets] == [
        ("5.000000", "0.000015", True)
    ]
    assert world.window(budget) is None
    assert nothing_is_left(cast)


def test_the_hubs_engine_costs_the_full_price(alice: Api) -> None:
    found = told(alice.post(PATH, {"endpoint": CHAT, "requests": [line("a")], "engine": "hub"}))
    estimate = found["estimate"]
    assert found["engine"] == "hub"
    assert estimate["most_cost_usd"] == estimate["most_cost_without_batch_usd"]


def test_errors_by_line(alice: Api, cast: Cast) -> None:
    content = jsonl(line("a"), line("a"), line("c", temperature=9)) + b"{oops\n"
    found = told(alice.post(PATH, data={"endpoint": CHAT}, files={"file": ("b.jsonl", content)}))
    assert (found["valid"], found["fits"], found["estimate"], found["budgets"]) == (False, None, None, [])
    assert found["errors"]["count"] == 3
    assert [(each["line"], each["code"]) for each in found["errors"]["data"]] == [
        (2, "duplicate_custom_id"),
        (3, "invalid_value"),
        (4, "invalid_json_line"),
    ]
    assert nothing_is_left(cast)


@pytest.mark.parametrize(("content", "code"), [(b"", "empty_file"), (b"\x1f\x8b123", "invalid_json_line")])
def test_files_that_are_none(alice: Api, content: bytes, code: str) -> None:
    found = told(alice.post(PATH, data={"endpoint": CHAT}, files={"file": ("b.jsonl", content)}))
    assert [each["code"] for each in found["errors"]["data"]] == [code]


def test_a_table(alice: Api, cast: Cast) -> None:
    template = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "{{text}}"}]}
    form = {"endpoint": CHAT, "template": json.dumps(template)}
    assert told(alice.post(PATH, data=form, files={"file": ("t.csv", b"text\none\ntwo\n")}))["total"] == 2
    answer = alice.post(PATH, data={"endpoint": CHAT}, files={"file": ("t.csv", b"text\none\n")})
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["file"])
    assert nothing_is_left(cast)


@pytest.mark.parametrize(
    ("name", "content", "form", "statuses"),
    [
        ("t.csv", b"prompt,max_tokens,model\nHi,20,gpt-4o-mini\n", {"template": ""}, (200, 201)),
        ("b.txt", jsonl(line("a")), {}, (400, 400)),
    ],
)
def test_it_takes_what_create_takes(
    alice: Api, name: str, content: bytes, form: dict[str, str], statuses: tuple[int, int]
) -> None:
    data, files = {"endpoint": CHAT, **form}, {"file": (name, content)}
    answers = [alice.post(path, data=data, files=files) for path in (PATH, "/api/batch/create")]
    assert tuple(answer.status_code for answer in answers) == statuses, answers[0].text


def test_a_file_uploaded_before(alice: Api, api: Api, cast: Cast) -> None:
    file = alice.post("/api/batch/upload", files={"file": ("b.jsonl", jsonl(line("a")))}).json()["file"]
    body = {"endpoint": CHAT, "input_file_id": file["id"]}
    assert told(alice.post(PATH, body))["valid"] is True
    assert api.as_(cast.charlie).post(PATH, body).status_code == 404


def test_a_budget_that_is_too_small(alice: Api, cast: Cast) -> None:
    world.make_budget(cast.company, "0.00001")
    found = told(alice.post(PATH, {"endpoint": CHAT, "requests": [line("a"), line("b")]}))
    assert (found["valid"], found["fits"]) == (True, False)
    assert [each["requested"] for each in found["budgets"] if not each["fits"]] == ["0.000015"]


def test_it_is_what_the_batch_holds(alice: Api, cast: Cast, rung: list[Any]) -> None:
    body = {"endpoint": CHAT, "requests": [line(f"c{n}", "Hello " * n) for n in range(1, 30)]}
    found = told(alice.post(PATH, body))
    alice.post("/api/batch/create", body)
    batch = Batch.objects.of(cast.company.pk).get()
    ingest.validate(batch.pk)
    batch.refresh_from_db()
    assert found["estimate"]["most_tokens"] == batch.estimated_tokens


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"endpoint": CHAT}, "input_file_id"),
        ({"endpoint": CHAT, "requests": []}, "requests"),
        ({"endpoint": "/v1/images", "requests": [{}]}, "images"),
        ({"endpoint": CHAT, "requests": [{}], "colour": 1}, "colour"),
    ],
)
def test_bad_bodies(alice: Api, cast: Cast, body: dict[str, Any], param: str) -> None:
    answer = alice.post(PATH, body)
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert param in answer.json()["detail"]
    assert nothing_is_left(cast)


def test_a_form_without_a_file(alice: Api, cast: Cast) -> None:
    answer = alice.post(PATH, data={"endpoint": CHAT, "model": "x"}, files={"other": ("a", b"x")})
    assert answer.status_code == 400
    assert nothing_is_left(cast)
