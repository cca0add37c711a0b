"""``/ai/openai/jobs/``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_core.models import AIJob
from megahub.kernel import clock, loop
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/openai/jobs/"
MESSAGES = [{"role": "user", "content": "Hello"}]
BODY = {"model": "gpt-4o-mini", "messages": MESSAGES, "description": "A try", "temperature": 0}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def made(api: Api, cast: Cast, **changes: Any) -> dict[str, Any]:
    response = api.as_(cast.alice).post(URL, {**BODY, **changes})
    assert response.status_code == 201, response.text
    return dict(response.json())


def ran(cast: Cast, provider: Provider, tokens: int = 1000, **fields: Any) -> int:
    """A job of Alice's that used so many input tokens."""
    provider(completion("Hi.", tokens, 0))
    job = world.submit(cast.alice, **fields)
    loop.run(pipeline.finish(job))
    return job.pk


class TestCreate:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        provider(completion("Hi."))

        job = made(api, cast, tools=[TOOL], priority="high")

        row = AIJob.objects.of(cast.company.pk).get()
        assert rung == [("ai_core.run_job", (row.pk,), "high")]
        assert job == {
            "id": row.pk,
            "ai_job": {
                "id": row.pk,
                "job_id": row.job_id,
                "job_type": {"id": row.job_type_id, "name": "chat_completion", "category": "chat"},
                "brand": {"id": cast.brand.pk, "name": cast.brand.name},
                "created_by": {"id": cast.alice.user.pk, "username": cast.alice.user.username},
                "status": "pending",
                "priority": "high",
                "progress_percentage": 0,
                "description": "A try",
                "is_async": True,
                "sandbox": True,
                "error_message": None,
                "created_at": clock.iso(row.created_at),
                "started_at": None,
                "completed_at": None,
                "execution_time_seconds": None,
            },
            "model": "gpt-4o-mini",
            "generation": "legacy",
            "performance_tier": "good",
            "temperature": 0.0,
            "max_tokens": 1000,
            "max_completion_tokens": None,
            "reasoning_effort": None,
            "messages_format": "legacy",
            "tools": [TOOL],
            "tool_resources": None,
            "response_format": None,
            "openai_id": None,
            "prompt_tokens": None,
            "completion_tokens": None,
            "total_tokens": None,
            "cost_usd": None,
            "execution_time_ms": None,
            "quality_score": None,
            "reasoning_steps": None,
            "created_at": clock.iso(row.created_at),
            "input_data": {
                "model": "gpt-4o-mini",
                "messages": MESSAGES,
                "temperature": 0,
                "tools": [TOOL],
            },
            "result": None,
            "usage": None,
            "quality_indicators": {"reasoning_steps": None, "confidence_score": None},
            "error": None,
            "warnings": [],
        }
        loop.run(pipeline.work(row.pk))
        done = api.as_(cast.alice).get(f"{URL}{row.job_id}/").json()
        assert done["result"] == {"completion": "Hi.", "finish_reason": "stop"}
        assert (done["prompt_tokens"], done["completion_tokens"], done["total_tokens"]) == (10, 5, 15)
        assert done["cost_usd"] == done["usage"]["total_cost"] == "0.000005"
        assert done["openai_id"] == "chatcmpl-stub"
        assert done["ai_job"]["status"] == "completed"

    def test_before_the_answer_when_asked(
        self, api: Api, cast: Cast, provider: Provider, rung: Rung
    ) -> None:
        provider(completion("Hi."))

        job = made(api, cast, **{"async": False})

        assert (job["ai_job"]["status"], job["result"]["completion"]) == ("completed", "Hi.")
        assert rung == []

    def test_the_same_key_makes_one_job(self, api: Api, cast: Cast, rung: Rung) -> None:
        client = api.as_(cast.alice, idempotency_key="once")

        first, second = client.post(URL, BODY), client.post(URL, BODY)

        assert first.json()["id"] == second.json()["id"]
        assert second.headers["Idempotency-Replayed"] == "true"
        assert client.post(URL, {**BODY, "temperature": 1}).status_code == 422

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"messages": None}, "VALIDATION_ERROR"),
            ({"model": 5}, "VALIDATION_ERROR"),
            ({"priority": "asap"}, "VALIDATION_ERROR"),
            ({"temperature": "hot"}, "VALIDATION_ERROR"),
            ({"async": "later"}, "VALIDATION_ERROR"),
            ({"nonsense": 1}, "UNKNOWN_PARAMETER"),
            ({"model": "o3"}, "INVALID_PARAMETER_FOR_MODEL"),
        ],
    )
    def test_bad_input_changes_nothing(
        self, api: Api, cast: Cast, rung: Rung, change: dict[str, Any], code: str
    ) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, **change})

        assert (response.status_code, response.json()["error_code"]) == (400, code)
        assert not AIJob.objects.of(cast.company.pk).exists()
        assert rung == []

    def test_an_unknown_model(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, "model": "gpt-99"})

        assert (response.status_code, response.json()["error_code"]) == (404, "MODEL_NOT_FOUND")

    def test_who_may(self, api: Api, cast: Cast) -> None:
        assert api.post(URL, BODY).status_code == 401
        refused = api.as_(cast.alice.api_key("jobs:read")).post(URL, BODY)
        assert refused.json()["error_code"] == "SCOPE_MISSING"
        assert not AIJob.objects.of(cast.company.pk).exists()


class TestList:
    def test_filters(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        mini = ran(cast, provider, 1000, params={"temperature": 0.5, "tools": [TOOL]})
        o3 = ran(cast, provider, 2000, model="o3", params={"reasoning_effort": "high"})
        waiting = world.submit(cast.alice, "A needle", model="gpt-4o", later=True).pk
        every = [waiting, o3, mini]
        tomorrow = (clock.now() + timedelta(days=1)).date().isoformat()

        def found(query: str) -> list[int]:
            response = api.as_(cast.alice).get(f"{URL}?{query}")
            assert response.status_code == 200, response.text
            return [row["id"] for row in response.json()["results"]]

        assert found("") == every
        assert found("model=o3") == [o3]
        assert found("model__in=o3,gpt-4o-mini") == [o3, mini]
        assert found("model__startswith=gpt-4o") == [waiting, mini]
        assert found("generation=new") == [o3]
        assert found("generation__in=new,legacy") == every
        assert found("reasoning_effort=high") == [o3]
        assert found("temperature__gte=0.5") == [mini]
        assert found("temperature__lte=0.4") == []
        assert found("total_tokens__gte=2000") == [o3]
        assert found("total_tokens__lte=1999") == [mini]
        assert found("has_tools=true") == [mini]
        assert found("has_tools=false") == [waiting, o3]
        assert found("assistant_id=asst_123") == []
        assert found("ai_job__status=completed") == [o3, mini]
        assert found("cost_usd__gte=0.004") == [o3]
        assert found("cost_usd__lte=0.00015") == [mini]
        assert found("quality_score__gte=0") == []
        assert found("quality_score__lte=10") == []
        assert found("performance_tier=highest") == [o3]
        assert found("performance_tier=good") == [mini]
        assert found("execution_time_seconds__gte=0") == [o3, mini]
        assert found("execution_time_seconds__lte=3600") == [o3, mini]
        assert found(f"created_at__gte={tomorrow}") == []
        assert found(f"created_at__lte={tomorrow}") == every
        assert found("search=needle") == [waiting]
        assert found("sandbox=false") == []

    def test_orderings(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        mini = ran(cast, provider, 1000, params={"max_tokens": 5})
        o3 = ran(cast, provider, 500, model="o3", params={"max_completion_tokens": 9})
        waiting = world.submit(cast.alice, model="gpt-4o", later=True).pk

        def found(ordering: str) -> list[int]:
            response = api.as_(cast.alice).get(f"{URL}?ordering={ordering}")
            assert response.status_code == 200, response.text
            return [row["id"] for row in response.json()["results"]]

        assert found("-cost_usd,quality_score") == [o3, mini, waiting]
        assert found("cost_usd") == [mini, o3, waiting]
        assert found("generation,-created_at") == [waiting, mini, o3]
        assert found("model,-execution_time") == [waiting, mini, o3]
        assert found("-total_tokens") == [mini, o3, waiting]
        assert found("reasoning_effort")[0] == o3
        assert found("max_completion_tokens")[0] == o3
        assert found("max_tokens")[0] == mini
        assert found("-reasoning_steps") == [waiting, o3, mini]
        assert found("temperature,execution_time_seconds,ai_job__status,id")[2] == waiting

    @pytest.mark.parametrize(
        "query",
        [
            "generation=old",
            "generation__in=new,old",
            "temperature__gte=hot",
            "total_tokens__gte=1.5",
            "has_tools=1",
            "ai_job__status=done",
            "cost_usd__gte=much",
            "cost_usd__gte=2&cost_usd__lte=1",
            "quality_score__gte=x",
            "performance_tier=best",
            "ordering=password",
            "page=0",
            "nonsense=1",
        ],
    )
    def test_a_bad_query_is_refused_by_name(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == 400
        assert query.split("=", maxsplit=1)[0] in response.text

    def test_pages_and_cursors(self, api: Api, cast: Cast, rung: Rung) -> None:
        jobs = [made(api, cast)["id"] for _ in range(3)][::-1]

        second = api.as_(cast.alice).get(f"{URL}?page_size=2&page=2").json()
        first = api.as_(cast.alice).get(f"{URL}?page_size=2&cursor=").json()
        rest = api.as_(cast.alice).get(first["next"].removeprefix(api.url)).json()

        assert ([row["id"] for row in second["results"]], second["count"]) == (jobs[2:], 3)
        assert [row["id"] for row in first["results"]] == jobs[:2]
        assert [row["id"] for row in rest["results"]] == jobs[2:]

    def test_what_the_provider_returned(self, api: Api, cast: Cast, provider: Provider) -> None:
        answer = completion("Hi.")
        answer.body["choices"][0]["message"]["reasoning_steps"] = ["One", "Two"]
        provider(answer)
        job = world.submit(cast.alice)
        loop.run(pipeline.finish(job))

        (row,) = api.as_(cast.alice).get(f"{URL}?ordering=-reasoning_steps").json()["results"]

        assert (row["reasoning_steps"], row["openai_id"]) == (2, "chatcmpl-stub")

    def test_strangers_see_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)

        assert api.get(URL).status_code == 401
        assert api.as_(cast.charlie).get(URL).json()["count"] == 0
        foreign = api.as_(cast.charlie).get(f"{URL}{job['id']}/")
        absent = api.as_(cast.charlie).get(f"{URL}999999999/")
        assert (foreign.status_code, foreign.content) == (404, absent.content)
        other = cast.company.brands.create(name="Other", company=cast.company)
        assert api.as_(cast.alice, x_brand_id=str(other.pk)).get(URL).json()["count"] == 0

    def test_the_number_of_queries_does_not_grow(
        self, api: Api, cast: Cast, provider: Provider, rung: Rung
    ) -> None:
        for _ in range(3):
            ran(cast, provider)
        client = Client(headers={"Authorization": f"Bearer {cast.alice.token}"})
        client.get(URL)

        with CaptureQueriesContext(connection) as queries:
            assert len(client.get(URL).json()["results"]) == 3

        assert len(queries) == 2


class TestChange:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)
        url = f"{URL}{job['id']}/"

        put = api.as_(cast.alice).request("PUT", url, json={"temperature": 1.5, "priority": "low"})
        patch = api.as_(cast.alice).request("PATCH", url, json={"temperature": None, "max_tokens": 7})

        assert put.status_code == patch.status_code == 200
        assert (put.json()["temperature"], put.json()["ai_job"]["priority"]) == (1.5, "low")
        assert (patch.json()["temperature"], patch.json()["max_tokens"]) == (0.7, 7)
        assert patch.json()["input_data"] == {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 7}
        assert patch.json()["ai_job"]["description"] == "A try"

    def test_a_refused_change_changes_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)
        url = f"{URL}{job['id']}/"

        for body in ({"temperature": 9}, {"nonsense": 1}, {"priority": "asap"}, {"model": "o3"}):
            assert api.as_(cast.alice).request("PUT", url, json=body).status_code == 400

        assert api.as_(cast.alice).get(url).json() == job

    def test_what_has_ended_keeps_its_parameters(self, api: Api, cast: Cast, provider: Provider) -> None:
        pk = ran(cast, provider)

        response = api.as_(cast.alice).request("PATCH", f"{URL}{pk}/", json={"temperature": 1})

        assert (response.status_code, response.json()["error_code"]) == (409, "JOB_NOT_EDITABLE")
        described = api.as_(cast.alice).request("PATCH", f"{URL}{pk}/", json={"description": "New"})
        assert described.json()["ai_job"]["description"] == "New"

    def test_a_stranger_changes_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)

        for method in ("PUT", "PATCH", "DELETE"):
            response = api.as_(cast.charlie).request(method, f"{URL}{job['id']}/", json={"priority": "low"})
            assert response.status_code == 404
        assert world.row(job["id"]).priority == "normal"


class TestDelete:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider) -> None:
        pk = ran(cast, provider)

        response = api.as_(cast.alice).request("DELETE", f"{URL}{pk}/")

        assert response.status_code == 204
        assert api.as_(cast.alice).get(f"{URL}{pk}/").status_code == 404
        assert api.as_(cast.alice).get(URL).json()["count"] == 0
        assert len(world.ledger(pk)) == 1

    def test_a_running_job_is_refused(self, api: Api, cast: Cast) -> None:
        job = world.submit(cast.alice)

        response = api.as_(cast.alice).request("DELETE", f"{URL}{job.pk}/")

        assert (response.status_code, response.json()["error_code"]) == (409, "JOB_RUNNING")
