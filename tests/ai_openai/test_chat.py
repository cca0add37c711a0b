"""``/ai/openai/chat/`` and ``/ai/openai/completion/job_result/``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import time_machine

from ai_core import pipeline
from ai_core.models import AIJob
from ai_providers import selectors as providers
from ai_usage.models import AIUsageAlert
from megahub.kernel import clock, loop
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/openai/chat/"
RESULT = "/ai/openai/completion/job_result/"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def test_it_works(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion("Hi.", prompt=125, output=275))

    response = api.as_(cast.alice).post(URL, {**BODY, "model": "o3", "reasoning_effort": "high"})

    assert response.status_code == 200
    row = AIJob.objects.of(cast.company.pk).get()
    answer = response.json()
    assert isinstance(answer.pop("execution_time_ms"), int)
    assert answer == {
        "job_id": row.job_id,
        "status": "completed",
        "result": {"completion": "Hi.", "finish_reason": "stop"},
        "usage": {
            "prompt_tokens": 125,
            "completion_tokens": 275,
            "total_tokens": 400,
            "cost_usd": "0.002450",
        },
        "model": "o3",
        "generation": "new",
        "reasoning_effort": "high",
        "quality_indicators": {"reasoning_steps": None, "confidence_score": None},
        "sandbox": True,
        "warnings": [],
    }


def test_defaults_and_renames_are_those_that_clients_know(api: Api, cast: Cast, provider: Provider) -> None:
    scripted = provider(completion())
    system = [{"role": "system", "content": "Be brief."}, *BODY["messages"]]
    client = api.as_(cast.alice)

    client.post(URL, {"model": "o3", "messages": system, "max_tokens": 50})
    client.post(URL, {"model": "gpt-4.1", "messages": BODY["messages"]})
    client.post(URL, {"messages": BODY["messages"], "temperature": 0})

    text = [{"type": "text", "text": "Hello"}]
    sent = [call.params for call, _, _ in scripted.calls]
    assert sent == [
        {
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": text},
            ],
            "max_completion_tokens": 50,
            "reasoning_effort": "medium",
        },
        {
            "messages": [{"role": "user", "content": text}],
            "temperature": 1.0,
            "max_completion_tokens": 10000,
        },
        {
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0,
            "max_tokens": 1000,
        },
    ]
    assert [call.model for call, _, _ in scripted.calls] == ["o3", "gpt-4.1", "gpt-4o"]


class TestLater:
    @pytest.mark.parametrize("how", ["body", "query"])
    def test_it_works(self, api: Api, cast: Cast, rung: Rung, provider: Provider, how: str) -> None:
        provider(completion("Hi."))
        url, body = (URL, {**BODY, "async": True}) if how == "body" else (f"{URL}?async=true", BODY)

        response = api.as_(cast.alice).post(url, {**body, "priority": "high", "model": "o3"})

        assert response.status_code == 202
        row = AIJob.objects.of(cast.company.pk).get()
        assert rung == [("ai_core.run_job", (row.pk,), "high")]
        answer = response.json()
        assert answer.pop("estimated_completion") > clock.iso(row.created_at)
        assert answer == {
            "job_id": row.job_id,
            "status": "async",
            "task_id": row.task_id,
            "message": "Job started asynchronously with o3",
            "reasoning_effort": "medium",
        }
        poll = f"{RESULT}?job_id={row.job_id}"
        waiting = api.as_(cast.alice).get(poll).json()
        assert (waiting["job"]["status"], waiting["result"], waiting["usage"]) == (
            "pending",
            None,
            None,
        )
        loop.run(pipeline.work(row.pk))
        done = api.as_(cast.alice).get(poll).json()
        assert done["job"]["status"] == "completed"
        assert done["result"] == {"completion": "Hi.", "finish_reason": "stop"}
        assert done["usage"]["total_tokens"] == 15
        assert done["error"] is None

    def test_a_failure_is_told_in_the_readers_language(self, api: Api, cast: Cast, rung: Rung) -> None:
        body = {**BODY, "messages": [{"role": "user", "content": "x [sandbox: status=401]"}]}
        job_id = api.as_(cast.alice).post(URL, {**body, "async": True}).json()["job_id"]
        loop.run(pipeline.work(AIJob.objects.of(cast.company.pk).get().pk))

        english = api.as_(cast.alice).get(f"{RESULT}?job_id={job_id}").json()
        french = api.as_(cast.alice, accept_language="fr").get(f"{RESULT}?job_id={job_id}").json()

        assert english["job"]["status"] == "failed"
        assert english["error"] == {
            "detail": "openai refused the configured API key.",
            "error_code": "INVALID_API_KEY",
            "provider": "openai",
        }
        assert french["error"]["error_code"] == "INVALID_API_KEY"
        assert french["error"]["detail"] == "openai a refusé la clé d'API configurée."

    def test_a_job_id_is_needed(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).get(RESULT)

        assert response.status_code == 400
        assert response.json()["field_errors"] == {"job_id": ["This field is required."]}

    def test_a_foreign_job_is_an_absent_one(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = world.submit(cast.alice, later=True)

        foreign = api.as_(cast.charlie).get(f"{RESULT}?job_id={job.job_ref}")
        absent = api.as_(cast.charlie).get(f"{RESULT}?job_id=ai_job_000000000000000000000000")

        assert (foreign.status_code, foreign.content) == (404, absent.content)


class TestRefusals:
    def test_to_the_letter(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, "model": "o3", "temperature": 0.7})

        assert response.status_code == 400
        answer = response.json()
        requirements = answer.pop("model_requirements")
        text = "O3 models don't support temperature parameter"
        assert answer == {
            "detail": text,
            "error": text,
            "error_code": "INVALID_PARAMETER_FOR_MODEL",
            "model": "o3",
            "invalid_params": ["temperature"],
            "suggested_params": ["reasoning_effort", "max_completion_tokens"],
        }
        assert requirements["required"] == ["reasoning_effort"]
        assert requirements["forbidden"][0] == "temperature"
        assert requirements["optional"][:2] == ["max_completion_tokens", "tools"]

    def test_in_french(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice, accept_language="fr-CH, en;q=0.5").post(
            URL, {**BODY, "reasoning_effort": "high"}
        )

        answer = response.json()
        assert answer["error_code"] == "INVALID_PARAMETER_FOR_MODEL"
        assert answer["detail"] == "Le modèle gpt-4o-mini n'accepte pas le paramètre reasoning_effort"
        assert answer["detail"] == answer["error"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"priority": "asap"}, "priority"),
            ({"async": "yes"}, "async"),
            ({"description": 5}, "description"),
            ({"model": 5}, "model"),
            ({"messages": "Hello"}, "messages"),
            ({"messages": []}, "messages"),
            ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ],
    )
    def test_bad_fields_are_named(self, api: Api, cast: Cast, change: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, **change})

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]
        assert not AIJob.objects.of(cast.company.pk).exists()

    def test_no_key_and_no_sandbox(self, api: Api, cast: Cast) -> None:
        cast.company.use_sandbox = False
        cast.company.save(update_fields=["use_sandbox"])
        providers.forget()

        response = api.as_(cast.alice).post(URL, BODY)

        assert response.status_code == 400
        text = "No API key is configured for openai."
        assert response.json() == {
            "detail": text,
            "error": text,
            "error_code": "NO_API_KEY",
            "provider": "openai",
        }

    def test_an_unknown_model(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, "model": "gpt-17"})

        assert response.status_code == 404
        answer = response.json()
        assert (answer["error_code"], answer["model"]) == ("MODEL_NOT_FOUND", "gpt-17")
        assert "gpt-4o-mini" in answer["available_models"]
        assert "o1-mini" not in answer["available_models"]


class TestOldModels:
    def test_a_retired_model_is_called_with_a_warning_and_one_alert(
        self, api: Api, cast: Cast, provider: Provider
    ) -> None:
        scripted = provider(completion())

        answers = [api.as_(cast.alice).post(URL, {**BODY, "model": "o1"}) for _ in range(2)]

        text = "Model o1 was shut down by openai on 2026-10-23; use gpt-5.6-sol."
        assert [answer.json()["warnings"] for answer in answers] == 2 * [
            [
                {
                    "code": "MODEL_RETIRED",
                    "message": text,
                    "model": "o1",
                    "shutdown_date": "2026-10-23",
                    "replacement": "gpt-5.6-sol",
                }
            ]
        ]
        assert answers[0].headers["x-megahub-warning"] == text
        assert len(scripted.calls) == 2
        (alert,) = AIUsageAlert.objects.of(cast.company.pk)
        assert (alert.alert_type, alert.subject, alert.message) == ("model_retired", "o1", text)

    def test_it_was_none_on_the_day_before(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion())
        job = world.submit(cast.alice, model="gpt-4.1-nano", later=True)
        assert [warning["code"] for warning in job.warnings] == ["MODEL_RETIRED"]

        spec = job.terms.spec
        assert spec.is_retired(date(2026, 10, 23))
        assert not spec.is_retired(date(2026, 10, 22))


class TestUnpriced:
    def test_it_is_held_and_charged_at_the_dearest_and_told_as_unknown(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, "5")

        response = api.as_(cast.alice).post(URL, {**BODY, "model": "mixtral", "max_tokens": 20})

        answer = response.json()
        assert answer["usage"]["cost_usd"] is None
        assert [warning["code"] for warning in answer["warnings"]] == ["MODEL_UNPRICED"]
        row = AIJob.objects.of(cast.company.pk).get()
        (entry,) = world.ledger(row.pk)
        assert (entry.cost_nano_usd, entry.amount_nano, entry.currency) == (None, None, None)
        # The dearest of Infomaniak's chat models: 0.8 CHF in, 3.6 CHF out, at 1.236247 USD.
        chf = entry.input_tokens * 800 + entry.output_tokens * 3600
        assert entry.charged_nano_usd == round(chf * 1.236247)
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent) == (0, entry.charged_nano_usd)
        (alert,) = AIUsageAlert.objects.of(cast.company.pk)
        assert alert.alert_type == "model_unpriced"

    def test_swiss_francs_are_kept_with_their_rate(self, api: Api, cast: Cast) -> None:
        model = "mistralai/Mistral-Small-4-119B-2603"

        api.as_(cast.alice).post(URL, {**BODY, "model": model})

        row = AIJob.objects.of(cast.company.pk).get()
        (entry,) = world.ledger(row.pk)
        chf = entry.input_tokens * 200 + entry.output_tokens * 750
        assert (entry.currency, entry.amount_nano) == ("CHF", chf)
        assert (str(entry.rate_usd), entry.rate_day) == ("1.236247000", date(2026, 6, 22))
        assert entry.cost_nano_usd == round(chf * 1.236247)


class TestModels:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        answer = api.as_(cast.alice).get(URL).json()

        models = {model["id"]: model for model in answer["models"]}
        o3 = models["o3"]
        assert o3["name"] == "O3"
        assert (o3["generation"], o3["supports_reasoning"], o3["supports_temperature"]) == (
            "new",
            True,
            False,
        )
        assert (o3["input_cost_per_token"], o3["output_cost_per_token"]) == (2e-06, 8e-06)
        assert o3["default_params"] == {
            "max_completion_tokens": 1000,
            "reasoning_effort": "medium",
        }
        assert o3["performance_profile"] == {
            "speed": "slow",
            "quality": "highest",
            "cost": "high",
        }
        assert (models["o1"]["status"], models["o1"]["replacement"]) == ("retired", "gpt-5.6-sol")
        assert models["mixtral"]["input_cost_per_token"] is None
        assert "gpt-4o" in answer["generation_info"]["legacy"]["models"]
        assert set(answer["selection_guide"].values()) <= set(models)
        for model in answer["selection_guide"].values():
            assert models[model]["status"] != "retired"

    def test_anonymous(self, api: Api) -> None:
        assert api.get(URL).status_code == 401

    def test_it_moves_with_the_calendar(self) -> None:
        with time_machine.travel(date(2026, 12, 12), tick=False):
            assert "o3" not in [spec.id for spec in providers.callable_models()]


def test_other_methods(api: Api, cast: Cast) -> None:
    response = api.as_(cast.alice).request("PUT", URL, json=BODY)

    assert response.status_code == 405
    assert response.json()["error_code"] == "METHOD_NOT_ALLOWED"
