"""``GET /ai/jobs/dashboard/`` and ``GET /ai/jobs/by_status/``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_core.domain.states import STATES
from ai_core.models import AIJob
from ai_core.selectors.dashboard import Period
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.services import store_keys
from megahub.kernel import clock, loop
from megahub.kernel.errors import ProviderUnavailable
from megahub.tenancy import services
from megahub.tenancy.models import Brand
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/jobs/dashboard/"
STATUS_URL = "/ai/jobs/by_status/"


def ran(cast: Cast, provider: Provider, *answers: Any, **fields: Any) -> AIJob:
    """A job of Alice's that has ended."""
    provider(*(answers or (completion("Hi.", 1000, 500),)))
    job = world.submit(cast.alice, **fields)
    loop.run(pipeline.finish(job))
    return world.row(job)


def back_dated(job: AIJob, moment: datetime) -> None:
    AIJob.objects.unscoped().filter(pk=job.pk).update(created_at=moment)


class TestDashboard:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        done = ran(cast, provider)
        ran(cast, provider, ProviderUnavailable(provider="openai"))
        pending = world.submit(cast.alice, later=True, job_type="document_analysis")

        answer = api.as_(cast.alice).get(URL).json()

        today = str(clock.now().date())
        cost = "0.000450"  # 1,000 in at 0.15 and 500 out at 0.60 per million
        assert answer["stats"] == {
            "total_jobs": 3,
            "jobs_today": 3,
            "pending": 1,
            "running": 0,
            "completed": 1,
            "failed": 1,
            "cancelled": 0,
            "timeout": 0,
        }
        assert answer["recent_jobs"][0]["id"] == pending.pk
        assert answer["recent_jobs"][2]["job_id"] == done.job_id
        assert answer["top_job_types"] == [
            {"name": "chat_completion", "count": 2},
            {"name": "document_analysis", "count": 1},
        ]
        assert len(answer["daily_activity"]) == 30
        assert answer["daily_activity"][-1] == {"date": today, "jobs": 3, "total_cost": cost}
        assert answer["daily_activity"][0]["jobs"] == 0
        assert answer["brand_breakdown"] == [{"brand_name": cast.brand.name, "jobs": 3, "cost": cost}]
        assert answer["sandbox"] is True

    def test_days_are_the_companys_own(self, api: Api, cast: Cast, provider: Provider) -> None:
        cast.company.timezone = "Pacific/Auckland"
        cast.company.save(update_fields=["timezone"])
        period = Period(2, "Pacific/Auckland")
        midnight = datetime.combine(period.last, time(), clock.zone(period.zone))
        back_dated(ran(cast, provider), midnight - timedelta(seconds=1))
        back_dated(ran(cast, provider), midnight)

        answer = api.as_(cast.alice).get(f"{URL}?days=2").json()

        assert answer["stats"]["jobs_today"] == 1
        days = [str(period.first), str(period.last)]
        assert [(day["date"], day["jobs"]) for day in answer["daily_activity"]] == [
            (day, 1) for day in days
        ]
        assert answer["period"] == {"days": 2, "start_date": days[0], "end_date": days[1]}

    def test_real_and_played_are_never_added_up(self, api: Api, cast: Cast, provider: Provider) -> None:
        ran(cast, provider)

        played = api.as_(cast.alice).get(URL).json()
        store_keys(cast.company.pk, {"openai": "sk-proj-" + "a" * 40})
        real = api.as_(cast.alice).get(URL).json()
        asked = api.as_(cast.alice).get(f"{URL}?sandbox=true").json()

        assert (played["stats"]["total_jobs"], played["sandbox"]) == (1, True)
        assert (real["stats"]["total_jobs"], real["sandbox"]) == (0, False)
        assert asked["stats"] == played["stats"]

    def test_what_has_no_price_has_no_cost(
        self, api: Api, cast: Cast, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(ADAPTERS, "infomaniak", provider(completion()))
        ran(cast, provider, model="granite")

        answer = api.as_(cast.alice).get(f"{URL}?days=1").json()

        assert [(day["jobs"], day["total_cost"]) for day in answer["daily_activity"]] == [(1, None)]
        assert answer["brand_breakdown"][0]["cost"] is None

    def test_only_brands_that_one_may_enter(self, api: Api, cast: Cast, provider: Provider) -> None:
        other = Brand.objects.unscoped().create(company=cast.company, name="Other")
        job = ran(cast, provider)
        AIJob.objects.unscoped().filter(pk=job.pk).update(brand=other)

        everything = api.as_(cast.alice).get(URL).json()
        bound = api.as_(key_of(cast, cast.brand)).get(URL).json()

        assert everything["stats"]["total_jobs"] == 0
        assert [row["brand_name"] for row in everything["brand_breakdown"]] == ["Other"]
        assert bound["brand_breakdown"] == []

    @pytest.mark.parametrize("query", ["days=0", "days=367", "days=x", "sandbox=maybe", "nonsense=1"])
    def test_a_bad_query_is_refused_by_name(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == 400
        assert query.split("=", maxsplit=1)[0] in response.text

    def test_who_may(self, api: Api, cast: Cast, provider: Provider) -> None:
        ran(cast, provider)

        assert api.get(URL).status_code == 401
        stranger = api.as_(cast.charlie).get(URL).json()
        assert (stranger["stats"]["total_jobs"], stranger["brand_breakdown"]) == (0, [])
        refused = api.as_(cast.alice.api_key("inference")).get(URL)
        assert refused.json()["error_code"] == "SCOPE_MISSING"

    def test_the_number_of_queries_does_not_grow(self, api: Api, cast: Cast, provider: Provider) -> None:
        client = Client(headers={"Authorization": f"Bearer {cast.alice.token}"})
        client.get(URL)
        counts = []
        for _ in range(2):
            ran(cast, provider)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(URL).status_code == 200
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 18


class TestByStatus:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        ran(cast, provider)
        two = [world.submit(cast.alice, later=True).pk for _ in range(2)]

        answer = api.as_(cast.alice).get(f"{STATUS_URL}?status=pending").json()
        page = api.as_(cast.alice).get(f"{STATUS_URL}?status=pending&page_size=1&page=2").json()

        assert set(answer) == {"jobs", "count"}
        assert ([job["id"] for job in answer["jobs"]], answer["count"]) == (two[::-1], 2)
        assert ([job["id"] for job in page["jobs"]], page["count"]) == ([two[0]], 2)

    @pytest.mark.parametrize("query", ["", "?status=", "?status=done"])
    def test_the_choices_are_named(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(STATUS_URL + query)

        assert response.status_code == 400
        (text,) = response.json()["field_errors"]["status"]
        assert text == f"Must be one of {', '.join(STATES)}."
        assert response.json()["suggestions"] == list(STATES)

    def test_who_may(self, api: Api, cast: Cast, provider: Provider) -> None:
        ran(cast, provider)

        assert api.get(f"{STATUS_URL}?status=completed").status_code == 401
        answer = api.as_(cast.charlie).get(f"{STATUS_URL}?status=completed").json()
        assert answer == {"jobs": [], "count": 0}
        assert api.as_(cast.alice).get(f"{STATUS_URL}?status=completed&priority=low").status_code == 400


def key_of(cast: Cast, brand: Brand) -> str:
    """An API key that is bound to one brand."""
    return services.make_api_key(cast.alice.caller, "bound", ["jobs:read"], brand.pk, None)[1]
