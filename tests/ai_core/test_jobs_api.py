"""``/ai/jobs/`` and ``/ai/job-types/``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_core.domain.kinds import KINDS, can_run
from ai_core.models import AIJob
from megahub.kernel import clock, loop
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/jobs/"
INPUT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
BODY = {"job_type": "chat_completion", "input_data": INPUT, "description": "A try"}


def made(api: Api, cast: Cast, **changes: Any) -> dict[str, Any]:
    response = api.as_(cast.alice).post(URL, {**BODY, **changes})
    assert response.status_code == 201, response.text
    return dict(response.json())


class TestTypes:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).get("/ai/job-types/")

        rows = response.json()
        assert [row["name"] for row in rows] == sorted(KINDS)
        assert set(rows[0]) == {
            "id",
            "name",
            "description",
            "category",
            "estimated_duration_seconds",
            "requires_async",
            "available",
        }
        assert {row["name"] for row in rows if row["available"]} == {
            "chat_completion",
            "content_analysis",
            "document_analysis",
            "embeddings",
            "seo_analysis",
            "text_generation",
        }
        one = api.as_(cast.alice).get(f"/ai/job-types/{rows[0]['id']}/")
        assert one.json() == rows[0]

    def test_anonymous(self, api: Api) -> None:
        assert api.get("/ai/job-types/").status_code == 401


class TestCreate:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung, provider: Provider) -> None:
        provider(completion("Hi."))

        job = made(api, cast, priority="urgent")

        row = AIJob.objects.of(cast.company.pk).get()
        assert rung == [("ai_core.run_job", (row.pk,), "urgent")]
        assert job == {
            "id": row.pk,
            "job_id": row.job_id,
            "job_type": {"id": row.job_type_id, "name": "chat_completion", "category": "chat"},
            "brand": {"id": cast.brand.pk, "name": cast.brand.name},
            "created_by": {"id": cast.alice.user.pk, "username": cast.alice.user.username},
            "status": "pending",
            "priority": "urgent",
            "progress_percentage": 0,
            "input_data": INPUT,
            "result_data": None,
            "error_message": None,
            "description": "A try",
            "task_id": row.task_id,
            "is_async": True,
            "model": "gpt-4o-mini",
            "provider": "openai",
            "sandbox": True,
            "created_at": clock.iso(row.created_at),
            "started_at": None,
            "completed_at": None,
            "cancelled_at": None,
            "execution_time_seconds": None,
            "openai_job": {
                "model": "gpt-4o-mini",
                "generation": "legacy",
                "temperature": 0.7,
                "max_tokens": 1000,
                "max_completion_tokens": None,
                "reasoning_effort": None,
                "messages_format": "legacy",
                "prompt_tokens": None,
                "completion_tokens": None,
                "total_tokens": None,
            },
            "usage": None,
            "attempts": [],
            "error": None,
            "warnings": [],
        }
        loop.run(pipeline.work(row.pk))
        done = api.as_(cast.alice).get(f"{URL}{row.job_id}/").json()
        assert done["status"] == "completed"
        assert done["result_data"] == {"completion": "Hi.", "finish_reason": "stop"}
        assert done["usage"]["total_tokens"] == done["openai_job"]["total_tokens"] == 15
        assert done["usage"]["total_cost"] == "0.000005"
        assert done["usage"]["success_rate"] == 1.0
        assert [attempt["phase"] for attempt in done["attempts"]] == ["done"]

    def test_before_the_answer_when_asked(
        self, api: Api, cast: Cast, provider: Provider, rung: Rung
    ) -> None:
        provider(completion("Hi."))

        job = made(api, cast, is_async=False)

        assert (job["status"], job["result_data"]["completion"]) == ("completed", "Hi.")
        assert rung == []

    def test_a_type_that_needs_a_worker_gets_one(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast, job_type="document_analysis", is_async=False)

        assert (job["status"], job["is_async"]) == ("pending", True)

    def test_a_prompt_instead_of_messages(self, api: Api, cast: Cast, provider: Provider) -> None:
        scripted = provider(completion())

        made(api, cast, is_async=False, input_data={"prompt": "Hello", "model": "gpt-4o-mini"})

        assert scripted.calls[0][0].params["messages"] == [{"role": "user", "content": "Hello"}]

    def test_embeddings(self, api: Api, cast: Cast) -> None:
        input_data = {"model": "text-embedding-3-small", "input": "Hi", "dimensions": 4}

        job = made(api, cast, job_type="embeddings", input_data=input_data, is_async=False)

        (vector,) = job["result_data"]["embeddings"]
        assert len(vector["embedding"]) == 4

    @pytest.mark.parametrize(
        ("change", "code", "field"),
        [
            ({"job_type": "nonsense"}, "JOB_TYPE_NOT_FOUND", None),
            ({"job_type": None}, "VALIDATION_ERROR", "job_type"),
            ({"priority": "asap"}, "VALIDATION_ERROR", "priority"),
            ({"input_data": []}, "VALIDATION_ERROR", "input_data"),
            ({"input_data": {}}, "VALIDATION_ERROR", "messages"),
            ({"input_data": {"model": 5}}, "VALIDATION_ERROR", "model"),
            ({"input_data": {**INPUT, "temperature": "hot"}}, "VALIDATION_ERROR", "temperature"),
            ({"input_data": {**INPUT, "foo": 1}}, "UNKNOWN_PARAMETER", None),
            ({"foo": 1}, "UNKNOWN_PARAMETER", None),
            ({"job_type": "image_generation"}, "MODEL_NOT_SUPPORTED_HERE", None),
            ({"job_type": "embeddings"}, "MODEL_NOT_SUPPORTED_HERE", None),
        ],
    )
    def test_bad_input_changes_nothing(
        self, api: Api, cast: Cast, rung: Rung, change: dict[str, Any], code: str, field: Any
    ) -> None:
        budget = world.make_budget(cast.company, "5")

        response = api.as_(cast.alice).post(URL, {**BODY, **change})

        assert response.status_code == 400
        answer = response.json()
        assert answer["error_code"] == code
        if field is not None:
            assert list(answer["field_errors"]) == [field]
        assert not AIJob.objects.of(cast.company.pk).exists()
        assert world.window(budget) is None
        assert rung == []

    def test_an_unknown_type_is_told_the_known_ones(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, "job_type": "nonsense"})

        assert response.json() == {
            "detail": "Unknown job type: nonsense.",
            "error": "Unknown job type: nonsense.",
            "error_code": "JOB_TYPE_NOT_FOUND",
            "suggestions": sorted(filter(can_run, KINDS)),
        }

    def test_who_may(self, api: Api, cast: Cast, rung: Rung) -> None:
        assert api.post(URL, BODY).status_code == 401
        reader = cast.alice.api_key("jobs:read")
        refused = api.as_(reader).post(URL, BODY)
        assert (refused.status_code, refused.json()["error_code"]) == (403, "SCOPE_MISSING")
        assert not AIJob.objects.of(cast.company.pk).exists()


class TestList:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung) -> None:
        jobs = [made(api, cast, description=f"Number {n}") for n in range(3)]

        response = api.as_(cast.alice).get(URL)

        answer = response.json()
        assert (answer["count"], answer["next"], answer["previous"]) == (3, None, None)
        assert [row["id"] for row in answer["results"]] == [job["id"] for job in jobs[::-1]]
        assert "attempts" not in answer["results"][0]

    def test_pages(self, api: Api, cast: Cast, rung: Rung) -> None:
        for _ in range(3):
            made(api, cast)

        first = api.as_(cast.alice).get(f"{URL}?page_size=2").json()
        second = api.as_(cast.alice).get(f"{URL}?page_size=2&page=2").json()

        assert (len(first["results"]), len(second["results"])) == (2, 1)
        assert first["next"].endswith("/ai/jobs/?page=2&page_size=2")

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("page=0", 400),
            ("page=x", 400),
            ("page=99", 404),
            ("page_size=0", 400),
            ("page_size=101", 400),
            ("page_size=x", 400),
            ("ordering=password", 400),
            ("status=done", 400),
            ("is_async=maybe", 400),
            ("created_at__gte=yesterday", 400),
            ("nonsense=1", 400),
            ("progress_percentage__gte=lots", 400),
            ("company=1", 400),
        ],
    )
    def test_a_bad_query_is_refused_by_name(self, api: Api, cast: Cast, query: str, status: int) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == status
        assert query.split("=", maxsplit=1)[0] in response.text

    def test_filters(self, api: Api, cast: Cast, rung: Rung) -> None:
        one = made(api, cast, priority="high", description="find me")
        two = made(api, cast, job_type="document_analysis")
        three = made(api, cast, input_data={**INPUT, "model": "gpt-4o"})
        tomorrow = (clock.now() + timedelta(days=1)).date().isoformat()
        every = [three["id"], two["id"], one["id"]]

        def found(query: str) -> list[int]:
            rows = api.as_(cast.alice).get(f"{URL}?{query}").json()["results"]
            return [row["id"] for row in rows]

        assert found("status=pending") == every
        assert found("status=completed") == []
        assert found("priority=high") == [one["id"]]
        assert found("job_type=document_analysis") == [two["id"]]
        assert found("model=gpt-4o") == [three["id"]]
        assert found("search=find") == [one["id"]]
        assert found(f"search={two['job_id']}") == [two["id"]]
        assert found(f"created_by={cast.alice.user.pk}") == every
        assert found("created_by=0") == []
        assert found("is_async=true") == every
        assert found(f"created_at__gte={tomorrow}") == []
        assert found("ordering=created_at") == every[::-1]
        assert found("ordering=-priority,id") == [two["id"], three["id"], one["id"]]

    def test_strangers_see_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)

        assert api.get(URL).status_code == 401
        assert api.as_(cast.charlie).get(URL).json()["count"] == 0
        foreign = api.as_(cast.charlie).get(f"{URL}{job['id']}/")
        absent = api.as_(cast.charlie).get(f"{URL}999999999/")
        assert (foreign.status_code, foreign.content) == (404, absent.content)

    def test_another_brand_is_another_list(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)
        other = cast.company.brands.create(name="Other", company=cast.company)
        client = api.as_(cast.alice, x_brand_id=str(other.pk))

        assert client.get(URL).json()["count"] == 0
        assert client.get(f"{URL}{job['id']}/").status_code == 404

    def test_the_number_of_queries_does_not_grow(self, api: Api, cast: Cast, rung: Rung) -> None:
        for _ in range(4):
            made(api, cast)
        client = Client(headers={"Authorization": f"Bearer {cast.alice.token}"})
        client.get(URL)

        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(URL).status_code == 200

        assert len(queries) == 2  # the count, and the page with all it nests


class TestChange:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)
        url = f"{URL}{job['id']}/"

        put = api.as_(cast.alice).request("PUT", url, json={"description": "B", "priority": "low"})
        patch = api.as_(cast.alice).request("PATCH", url, json={"priority": "high"})

        assert (put.status_code, put.json()["description"], put.json()["priority"]) == (
            200,
            "B",
            "low",
        )
        assert (patch.json()["description"], patch.json()["priority"]) == ("B", "high")

    def test_a_refused_change_changes_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        """Input may be changed while it is pending, progress may not: neither is."""
        job = made(api, cast)
        asked = {"input_data": {**INPUT, "max_tokens": 10}, "progress_percentage": 50, "priority": "low"}

        response = api.as_(cast.alice).request("PATCH", f"{URL}{job['id']}/", json=asked)

        assert (response.status_code, response.json()["error_code"]) == (409, "JOB_NOT_EDITABLE")
        assert response.json()["detail"].startswith("progress_percentage can no longer be changed")
        row = world.row(job["id"])
        assert (row.revision, row.input_data, row.priority) == (1, INPUT, "normal")

    def test_input_while_pending_is_checked_and_reserved_anew(
        self, api: Api, cast: Cast, rung: Rung, provider: Provider
    ) -> None:
        provider(completion())
        budget = world.make_budget(cast.company, "5")
        job = made(api, cast)
        before = world.window(budget)
        changed = {**INPUT, "model": "gpt-4o", "max_tokens": 10}

        response = api.as_(cast.alice).request("PUT", f"{URL}{job['id']}/", json={"input_data": changed})

        assert response.status_code == 200
        answer = response.json()
        assert (answer["model"], answer["input_data"]) == ("gpt-4o", changed)
        assert answer["openai_job"]["max_tokens"] == 10
        row, after = world.row(job["id"]), world.window(budget)
        assert before is not None
        assert after is not None
        assert after.reserved == row.holds[0][2] != before.reserved
        loop.run(pipeline.work(job["id"]))
        after = world.window(budget)
        assert after is not None
        assert (after.reserved, world.row(job["id"]).status) == (0, "completed")

    def test_input_that_is_refused_leaves_the_job_as_it_was(self, api: Api, cast: Cast, rung: Rung) -> None:
        budget = world.make_budget(cast.company, "0.01")
        job = made(api, cast)
        url = f"{URL}{job['id']}/"
        before, window = world.row(job["id"]), world.window(budget)

        wrong = {"input_data": {**INPUT, "temperature": 9}}
        dear = {"input_data": {**INPUT, "model": "gpt-4", "max_tokens": 8000}}
        answers = [api.as_(cast.alice).request("PUT", url, json=body).status_code for body in (wrong, dear)]

        assert answers == [400, 403]
        after, now = world.row(job["id"]), world.window(budget)
        assert (after.input_data, after.holds, after.revision) == (
            before.input_data,
            before.holds,
            before.revision,
        )
        assert window is not None
        assert now is not None
        assert now.reserved == window.reserved

    def test_what_can_no_longer_be_changed(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion())
        job = made(api, cast, is_async=False)
        url = f"{URL}{job['id']}/"

        for body in ({"input_data": INPUT}, {"progress_percentage": 50}):
            response = api.as_(cast.alice).request("PUT", url, json=body)
            assert response.status_code == 409
            assert response.json()["error_code"] == "JOB_NOT_EDITABLE"
            assert response.json()["current_status"] == "completed"
        described = api.as_(cast.alice).request("PUT", url, json={"description": "Done"})
        assert described.json()["description"] == "Done"

    def test_status_and_company_are_nobodys_to_set(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)
        for name in ("status", "company", "created_by", "job_id", "holds", "attempt_no"):
            response = api.as_(cast.alice).request("PATCH", f"{URL}{job['id']}/", json={name: "completed"})
            assert response.status_code == 400
            assert response.json()["invalid_params"] == [name]
        assert world.row(job["id"]).status == "pending"

    def test_a_stranger_changes_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        job = made(api, cast)

        for method in ("PUT", "PATCH", "DELETE"):
            response = api.as_(cast.charlie).request(
                method, f"{URL}{job['id']}/", json={"description": "Mine"}
            )
            assert response.status_code == 404
        assert world.row(job["id"]).description == "A try"


class TestDelete:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion("A secret"))
        job = made(api, cast, is_async=False)

        response = api.as_(cast.alice).request("DELETE", f"{URL}{job['id']}/")

        assert response.status_code == 204
        assert api.as_(cast.alice).get(f"{URL}{job['id']}/").status_code == 404
        row = world.row(job["id"])
        assert (row.input_data, row.response, row.description) == ({}, None, "")
        assert len(world.ledger(job["id"])) == 1

    def test_a_pending_job_gives_back_what_it_held(self, api: Api, cast: Cast, rung: Rung) -> None:
        budget = world.make_budget(cast.company, "5")
        job = made(api, cast)

        api.as_(cast.alice).request("DELETE", f"{URL}{job['id']}/")

        window = world.window(budget)
        assert window is not None
        assert window.reserved == 0
        assert [entry.kind for entry in world.ledger(job["id"])] == ["void"]

    def test_a_running_job_is_refused(self, api: Api, cast: Cast) -> None:
        job = world.submit(cast.alice)

        response = api.as_(cast.alice).request("DELETE", f"{URL}{job.pk}/")

        assert (response.status_code, response.json()["error_code"]) == (409, "JOB_RUNNING")
        assert response.json()["current_status"] == "running"
        assert world.row(job).deleted_at is None
