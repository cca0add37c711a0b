"""``POST /ai/jobs/validate/``: a dry run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services.alternatives import Budgets
from ai_usage.models import AIUsageAlert
from megahub.kernel import loop
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/jobs/validate/"
INPUT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
BODY = {"job_type": "chat_completion", "input_data": INPUT}


def test_it_works(api: Api, cast: Cast, rung: Rung) -> None:
    budget = world.make_budget(cast.company, "5")

    answer = api.as_(cast.alice).post(URL, BODY).json()

    most_input = 5 + 8 * 2  # bytes, and what messages add
    # The provider's quotas come beside the company's own budget.
    scopes = [room["scope"] for room in answer["budgets"]]
    answer["budgets"] = [room for room in answer["budgets"] if room["scope"] == "company"]
    assert scopes == ["company", "provider", "provider"]
    assert answer == {
        "valid": True,
        "would_be_accepted": True,
        "errors": {},
        "error": None,
        "job_type": "chat_completion",
        "model": "gpt-4o-mini",
        "provider": "openai",
        "is_async": True,
        "sandbox": True,
        "params": {**INPUT, "max_tokens": 1000},
        "estimate": {
            "tokens": {
                "input": {"least": 10, "expected": 10, "most": most_input},
                "output": {"least": 1, "expected": None, "most": 1000},
            },
            "cost_usd": {"least": "0.000002", "expected": None, "most": "0.000603"},
            "priced": True,
            "measured_jobs": 0,
        },
        "budgets": [
            {
                "scope": "company",
                "scope_value": None,
                "period": "month",
                "unit": "usd",
                "is_hard": True,
                "limit": "5.000000",
                "spent": "0.000000",
                "reserved": "0.000000",
                "remaining": "5.000000",
                "requested": "0.000603",
                "fits": True,
            }
        ],
        "warnings": [],
    }
    assert not AIJob.objects.of(cast.company.pk).exists()
    assert world.window(budget) is None
    assert rung == []


def test_what_it_says_is_what_happens(api: Api, cast: Cast, rung: Rung) -> None:
    budget = world.make_budget(cast.company, "5")
    said = api.as_(cast.alice).post(URL, BODY).json()

    job = api.as_(cast.alice).post("/ai/jobs/", BODY).json()

    window = world.window(budget)
    assert window is not None
    assert f"{window.reserved / 10**9:.6f}" == said["budgets"][0]["requested"]
    assert job["openai_job"]["max_tokens"] == said["params"]["max_tokens"]
    again = api.as_(cast.alice).post(URL, BODY).json()
    assert again["budgets"][0]["reserved"] == said["budgets"][0]["requested"]


def test_expected_rests_on_the_companys_own_jobs(api: Api, cast: Cast, provider: Provider) -> None:
    for tokens in (10, 30):
        provider(completion("Hi.", 5, tokens))
        loop.run(pipeline.finish(world.submit(cast.alice)))

    estimate = api.as_(cast.alice).post(URL, BODY).json()["estimate"]

    assert (estimate["tokens"]["output"]["expected"], estimate["measured_jobs"]) == (20, 2)
    assert estimate["cost_usd"]["expected"] == "0.000014"  # 10 x 0.15 + 20 x 0.60 millionths, upwards
    stranger = api.as_(cast.charlie).post(URL, BODY).json()["estimate"]
    assert stranger["tokens"]["output"]["expected"] is None


@pytest.mark.parametrize(
    ("change", "code", "fields"),
    [
        ({"job_type": "nonsense"}, "JOB_TYPE_NOT_FOUND", ["job_type"]),
        ({"input_data": {}}, "VALIDATION_ERROR", ["messages"]),
        (
            {"input_data": {**INPUT, "temperature": 9, "max_tokens": 0}},
            "VALIDATION_ERROR",
            ["max_tokens", "temperature"],
        ),
        ({"input_data": {**INPUT, "model": "o3"}}, "INVALID_PARAMETER_FOR_MODEL", ["temperature"]),
        ({"input_data": {**INPUT, "nonsense": 1}}, "UNKNOWN_PARAMETER", ["nonsense"]),
        ({"input_data": {**INPUT, "model": "gpt-99"}}, "MODEL_NOT_FOUND", ["model"]),
        ({"input_data": None}, "VALIDATION_ERROR", ["input_data"]),
        ({"nonsense": 1}, "UNKNOWN_PARAMETER", ["nonsense"]),
    ],
)
def test_errors_by_field(
    api: Api, cast: Cast, rung: Rung, change: dict[str, Any], code: str, fields: list[str]
) -> None:
    body = {**BODY, **change}

    answer = api.as_(cast.alice).post(URL, body)
    real = api.as_(cast.alice).post("/ai/jobs/", body)

    found = answer.json()
    assert (answer.status_code, found["valid"], found["would_be_accepted"]) == (200, False, False)
    assert (sorted(found["errors"]), found["error"]["error_code"]) == (fields, code)
    # To the letter what the real request answers.
    assert found["error"] == {"status": real.status_code, **real.json()}
    assert found["estimate"] is found["budgets"] is None


def test_a_budget_without_room_is_told_with_what_would_fit(api: Api, cast: Cast, rung: Rung) -> None:
    world.make_budget(cast.company, "0.0005")

    answer = api.as_(cast.alice).post(URL, {**BODY, "input_data": {**INPUT, "model": "gpt-4o"}}).json()
    real = api.as_(cast.alice).post("/ai/jobs/", {**BODY, "input_data": {**INPUT, "model": "gpt-4o"}})

    assert (answer["valid"], answer["would_be_accepted"]) == (True, False)
    assert [room["scope"] for room in answer["budgets"] if not room["fits"]] == ["company"]
    assert answer["error"] == {"status": 403, **real.json()}
    assert answer["error"]["error_code"] == "COST_LIMIT_EXCEEDED"
    # What is suggested fits: 44 tokens of output do, 45 do not; and so do the alternatives.
    limit = int(answer["error"]["suggestions"][-1].split()[3])
    for tokens, status in ((limit + 1, 403), (limit, 201)):
        body = {**BODY, "input_data": {**INPUT, "model": "gpt-4o", "max_tokens": tokens}}
        made = api.as_(cast.alice).post("/ai/jobs/", body)
        assert made.status_code == status, made.text
    api.as_(cast.alice).request("DELETE", f"/ai/jobs/{made.json()['id']}/")
    assert answer["error"]["alternatives"]
    for model in answer["error"]["alternatives"]:
        body = {**BODY, "input_data": {"model": model, "messages": INPUT["messages"], "max_tokens": 1000}}
        assert api.as_(cast.alice).post(URL, body).json()["would_be_accepted"] is True


def test_advice_is_given_in_french(api: Api, cast: Cast, rung: Rung) -> None:
    world.make_budget(cast.company, "0.0005")
    body = {**BODY, "input_data": {**INPUT, "model": "gpt-4o"}}

    answer = api.as_(cast.alice, accept_language="fr").post(URL, body).json()["error"]

    assert answer["suggestions"][-1].startswith("Réduisez max_tokens à ")


def test_nobody_is_alerted(api: Api, cast: Cast) -> None:
    body = {"model": "gpt-3.5-turbo", "messages": INPUT["messages"]}

    answer = api.as_(cast.alice).post(URL, {**BODY, "input_data": body}).json()

    assert [warning["code"] for warning in answer["warnings"]] == ["MODEL_RETIRED"]
    assert not AIUsageAlert.objects.of(cast.company.pk).exists()


def test_who_may(api: Api, cast: Cast) -> None:
    assert api.post(URL, BODY).status_code == 401
    refused = api.as_(cast.alice.api_key("jobs:read")).post(URL, BODY)
    assert refused.json()["error_code"] == "SCOPE_MISSING"


def test_who_asks_again_and_again_is_advised_once(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company without room must not keep the process from the others."""
    world.make_budget(cast.company, "0.0005")
    body = {**INPUT, "model": "gpt-4o"}
    read, readings = Budgets.read, []
    monkeypatch.setattr(Budgets, "read", lambda caller: readings.append(caller) or read(caller))

    answers = [api.as_(cast.alice).post("/v1/chat/completions", body) for _ in range(5)]
    other = api.as_(cast.alice).post("/v1/chat/completions", {**body, "max_tokens": 50})

    assert {answer.status_code for answer in (*answers, other)} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert len(readings) == 2
