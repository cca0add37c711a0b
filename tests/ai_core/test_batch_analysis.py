"""``/ai/batch-analysis/``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_core.models import AIBatch, AIJob
from megahub.kernel import loop
from megahub.kernel.errors import ProviderRefused
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/batch-analysis/"
BODY = {"contents": ["First text", "Second\n text"], "analysis_type": "seo", "model": "gpt-4o-mini"}


def made(api: Api, cast: Cast, **changes: Any) -> dict[str, Any]:
    response = api.as_(cast.alice).post(URL, {**BODY, **changes})
    assert response.status_code == 201, response.text
    return dict(response.json())


def work(batch: dict[str, Any]) -> None:
    for job in batch["jobs"]:
        loop.run(pipeline.work(job["openai_job_id"]))


class TestCreate:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung, provider: Provider) -> None:
        scripted = provider(completion("Fine."))
        budget = world.make_budget(cast.company, "5")

        batch = made(api, cast, priority="high")

        rows = list(AIJob.objects.of(cast.company.pk).order_by("pk"))
        assert rung == [("ai_core.run_job", (row.pk,), "high") for row in rows]
        assert batch == {
            "batch_id": AIBatch.objects.of(cast.company.pk).get().batch_id,
            "analysis_type": "seo",
            "model": "gpt-4o-mini",
            "total_jobs": 2,
            "jobs": [
                {"job_id": rows[0].job_id, "openai_job_id": rows[0].pk, "content_preview": "First text"},
                {"job_id": rows[1].job_id, "openai_job_id": rows[1].pk, "content_preview": "Second text"},
            ],
            "estimated_cost": batch["estimated_cost"],
            "estimated_tokens": sum(row.holds[0][2] for row in rows) and batch["estimated_tokens"],
            "sandbox": True,
        }
        window = world.window(budget)
        assert window is not None
        assert window.reserved == sum(row.holds[0][2] for row in rows)
        assert f"{window.reserved / 10**9:.6f}" == batch["estimated_cost"]
        assert {row.job_type.name for row in rows} == {"seo_analysis"}
        work(batch)
        assert scripted.calls[0][0].params["messages"][1] == {"role": "user", "content": "First text"}
        after = world.window(budget)
        assert after is not None
        assert after.reserved == 0

    def test_own_instructions(self, api: Api, cast: Cast, rung: Rung, provider: Provider) -> None:
        scripted = provider(completion())

        work(made(api, cast, instructions="Count the words."))

        assert scripted.calls[0][0].params["messages"][0]["content"] == "Count the words."

    def test_midnight_does_not_part_what_is_held(
        self, api: Api, cast: Cast, rung: Rung, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is held as one must be given back by each job to the window that it was held in."""
        budget = world.make_budget(cast.company, "5", period="day")
        midnight = datetime(2030, 1, 2, tzinfo=UTC)
        moments = iter((midnight - timedelta(seconds=1), midnight))
        draft = pipeline.draft

        async def drafted_at_midnight(order: Any) -> Any:
            drafted = await draft(order)
            drafted.job.created_at = next(moments)
            return drafted

        monkeypatch.setattr(pipeline, "draft", drafted_at_midnight)

        batch = made(api, cast)

        days = {job.holds[0][1] for job in AIJob.objects.of(cast.company.pk)}
        assert len(days) == 1
        for job in batch["jobs"]:
            assert api.as_(cast.alice).post(f"/ai/jobs/{job['job_id']}/cancel/", {}).status_code == 200
        window = world.window(budget)
        assert window is not None
        assert (window.reserved, window.spent) == (0, 0)

    def test_the_same_key_makes_one_batch(self, api: Api, cast: Cast, rung: Rung) -> None:
        client = api.as_(cast.alice, idempotency_key="once")

        first, second = client.post(URL, BODY), client.post(URL, BODY)
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"

        assert first.json() == second.json()
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"
        assert (AIJob.objects.of(cast.company.pk).count(), len(rung)) == (2, 2)
        assert client.post(URL, {**BODY, "analysis_type": "summary"}).status_code == 422

    def test_it_is_refused_as_a_whole(self, api: Api, cast: Cast, rung: Rung) -> None:
        # One of them would fit (0.0006 USD and a little), two do not.
        budget = world.make_budget(cast.company, "0.001")
        client = api.as_(cast.alice, idempotency_key="again")

        response = client.post(URL, BODY)

        answer = response.json()
        assert (response.status_code, answer["error_code"]) == (403, "COST_LIMIT_EXCEEDED")
        assert float(answer["estimated_cost"]) > 0.001
        assert not AIJob.objects.of(cast.company.pk).exists()
        assert not AIBatch.objects.of(cast.company.pk).exists()
        window = world.window(budget)
        assert window is None or window.reserved == 0
        assert rung == []
        assert client.post(URL, {**BODY, "contents": ["One"]}).status_code == 201  # the key is free again

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"contents": []}, "contents"),
            ({"contents": "text"}, "contents"),
            ({"contents": ["a", 5, {}]}, "contents.2"),
            ({"contents": ["a", ""]}, "contents.1"),
            ({"contents": ["a"] * 501}, "contents"),
            ({"analysis_type": "magic"}, "analysis_type"),
            ({"analysis_type": None}, "analysis_type"),
            ({"priority": "asap"}, "priority"),
        ],
    )
    def test_bad_input_changes_nothing(
        self, api: Api, cast: Cast, rung: Rung, change: dict[str, Any], field: str
    ) -> None:
        response = api.as_(cast.alice).post(URL, {**BODY, **change})

        assert (response.status_code, list(response.json()["field_errors"])) == (400, [field])
        assert not AIJob.objects.of(cast.company.pk).exists()

    def test_the_most_contents(self, api: Api, cast: Cast, rung: Rung) -> None:
        batch = made(api, cast, contents=[f"Text {number}" for number in range(500)])

        assert batch["total_jobs"] == len(batch["jobs"]) == 500
        assert batch["jobs"][499]["content_preview"] == "Text 499"

    def test_who_may(self, api: Api, cast: Cast) -> None:
        assert api.post(URL, BODY).status_code == 401
        refused = api.as_(cast.alice.api_key("jobs:read")).post(URL, BODY)
        assert refused.json()["error_code"] == "SCOPE_MISSING"
        assert api.as_(cast.alice).post(URL, {**BODY, "model": "gpt-99"}).status_code == 404
        assert not AIJob.objects.of(cast.company.pk).exists()


class TestProgress:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung, provider: Provider) -> None:
        batch = made(api, cast, contents=["One", "Two", "Three", "Four"])
        url, ids = f"{URL}{batch['batch_id']}/", [job["openai_job_id"] for job in batch["jobs"]]
        before = api.as_(cast.alice).get(f"{url}status/").json()
        provider(completion("Fine.", 1000, 500))
        loop.run(pipeline.work(ids[0]))
        provider(ProviderRefused(provider="openai", reason="No."))
        loop.run(pipeline.work(ids[1]))
        loop.run(pipeline.cancel(ids[2], cast.company.pk))

        answer = api.as_(cast.alice).get(f"{url}status/").json()
        results = api.as_(cast.alice).get(f"{url}results/").json()

        assert (before["pending"], before["progress_percentage"], before["total_cost"]) == (
            4,
            0,
            "0.000000",
        )
        assert answer == {
            "batch_id": batch["batch_id"],
            "total_jobs": 4,
            "completed": 1,
            "failed": 1,
            "cancelled": 1,
            "running": 0,
            "pending": 1,
            "progress_percentage": 75,
            "total_cost": "0.000450",
            "is_complete": False,
            "jobs": answer["jobs"],
        }
        assert answer["jobs"][0] == {
            "job_id": batch["jobs"][0]["job_id"],
            "status": "completed",
            "progress": 100,
            "cost": "0.000450",
            "tokens": 1500,
        }
        assert [job["status"] for job in answer["jobs"]] == ["completed", "failed", "cancelled", "pending"]
        first, second, _, last = results["results"]
        assert first["result"] == {"completion": "Fine.", "finish_reason": "stop"}
        assert (second["result"], second["error_message"]) == (None, "openai refused the request: No.")
        assert (last["content_preview"], last["result"], last["cost"]) == ("Four", None, None)
        assert (results["total_jobs"], results["is_complete"]) == (4, False)

    def test_it_ends(self, api: Api, cast: Cast, rung: Rung, provider: Provider) -> None:
        provider(completion())
        batch = made(api, cast)
        work(batch)
        first = batch["jobs"][0]["openai_job_id"]
        api.as_(cast.alice).request("DELETE", f"/ai/jobs/{first}/")

        answer = api.as_(cast.alice).get(f"{URL}{batch['batch_id']}/status/").json()
        results = api.as_(cast.alice).get(f"{URL}{batch['batch_id']}/results/").json()

        assert (answer["is_complete"], answer["progress_percentage"]) == (True, 100)
        assert (results["results"][0]["content_preview"], results["results"][0]["result"]) == ("", None)

    def test_strangers_see_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        batch = made(api, cast)
        other = cast.company.brands.create(name="Other", company=cast.company)

        for tail in ("status/", "results/"):
            url = f"{URL}{batch['batch_id']}/{tail}"
            assert api.get(url).status_code == 401
            foreign = api.as_(cast.charlie).get(url)
            absent = api.as_(cast.charlie).get(f"{URL}ai_batch_nothing/{tail}")
            assert (foreign.status_code, foreign.content) == (404, absent.content)
            assert api.as_(cast.alice, x_brand_id=str(other.pk)).get(url).status_code == 404

    def test_the_number_of_queries_does_not_grow(self, api: Api, cast: Cast, rung: Rung) -> None:
        batch = made(api, cast, contents=["One"] * 20)
        client = Client(headers={"Authorization": f"Bearer {cast.alice.token}"})
        client.get(f"{URL}{batch['batch_id']}/status/")

        with CaptureQueriesContext(connection) as queries:
            client.get(f"{URL}{batch['batch_id']}/status/")

        assert len(queries) == 2
