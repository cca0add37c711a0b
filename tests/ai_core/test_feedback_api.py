"""``POST /ai/jobs/{id}/feedback/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.services.job import Job
from ai_usage.models import JobRating, RatingChange
from megahub.kernel import loop
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]


@pytest.fixture
def job(cast: Cast, provider: Provider) -> Job:
    provider(completion("Hi."))
    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))
    return job


def url(job: Job) -> str:
    return f"/ai/jobs/{job.job_ref}/feedback/"


def test_it_works(api: Api, cast: Cast, job: Job) -> None:
    first = api.as_(cast.alice).post(url(job), {"score": 8.5, "comment": "Good."})
    second = api.as_(cast.bob).post(url(job), {"score": 4})

    assert (first.status_code, second.status_code) == (201, 201)
    rating = JobRating.objects.of(cast.company.pk).get(user=cast.alice.user)
    answer = first.json()
    assert (rating.score_tenths, rating.comment, rating.job_id) == (85, "Good.", job.pk)
    assert {name: answer[name] for name in ("job_id", "score", "comment", "quality_score")} == {
        "job_id": job.job_ref,
        "score": 8.5,
        "comment": "Good.",
        "quality_score": 8.5,
    }
    assert second.json()["quality_score"] == 6.25
    row = api.as_(cast.alice).get("/ai/usage/").json()["results"][0]
    assert row["quality_score"] == 6.25


def test_a_mind_may_be_changed(api: Api, cast: Cast, job: Job) -> None:
    api.as_(cast.alice).post(url(job), {"score": 8})
    again = api.as_(cast.alice).post(url(job), {"score": 3, "comment": "Worse."})

    assert (again.status_code, again.json()["quality_score"]) == (200, 3.0)
    assert JobRating.objects.of(cast.company.pk).count() == 1
    changes = RatingChange.objects.of(cast.company.pk).order_by("pk").values_list("tenths", "ratings")
    assert list(changes) == [(80, 1), (-50, 0)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "score"),
        ({"score": 11}, "score"),
        ({"score": -1}, "score"),
        ({"score": "good"}, "score"),
        ({"score": 5.55}, "score"),
        ({"score": 5, "comment": "x" * 4001}, "comment"),
        ({"score": 5, "foo": 1}, None),
    ],
)
def test_bad_input_changes_nothing(
    api: Api, cast: Cast, job: Job, body: dict[str, Any], field: str | None
) -> None:
    response = api.as_(cast.alice).post(url(job), body)

    assert response.status_code == 400
    if field is not None:
        assert list(response.json()["field_errors"]) == [field]
    assert not JobRating.objects.of(cast.company.pk).exists()


def test_there_must_be_something_to_rate(api: Api, cast: Cast, rung: Any) -> None:
    pending = world.submit(cast.alice, later=True)
    assert api.as_(cast.alice).post(url(pending), {"score": 5}).status_code == 409
    loop.run(pipeline.cancel(pending.pk, cast.company.pk))

    refused = api.as_(cast.alice).post(url(pending), {"score": 5})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "CONFLICT")
    assert not JobRating.objects.of(cast.company.pk).exists()


def test_who_may(api: Api, cast: Cast, job: Job) -> None:
    assert api.post(url(job), {"score": 5}).status_code == 401
    reader = cast.alice.api_key("jobs:read")
    assert api.as_(reader).post(url(job), {"score": 5}).json()["error_code"] == "SCOPE_MISSING"
    foreign = api.as_(cast.charlie).post(url(job), {"score": 5})
    absent = api.as_(cast.charlie).post("/ai/jobs/nothing/feedback/", {"score": 5})
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    assert not JobRating.objects.of(cast.company.pk).exists()


class TestReading:
    """``GET /ai/jobs/{id}/feedback/``."""

    def test_it_works(self, api: Api, cast: Cast, job: Job) -> None:
        api.as_(cast.alice).post(url(job), {"score": 8.5, "comment": "Good."})
        api.as_(cast.bob).post(url(job), {"score": 4})

        answer = api.as_(cast.alice).get(url(job))

        told = answer.json()
        assert answer.status_code == 200
        assert {name: told[name] for name in ("job_id", "count", "quality_score")} == {
            "job_id": job.job_ref,
            "count": 2,
            "quality_score": 6.25,
        }
        names = [(row["username"], row["score"], row["comment"]) for row in told["ratings"]]
        alice, bob = cast.alice.user.username, cast.bob.user.username
        assert names == [(bob, 4.0, ""), (alice, 8.5, "Good.")]
        assert told["own"] == told["ratings"][1]

    def test_nobody_has_said_anything(self, api: Api, cast: Cast, job: Job) -> None:
        told = api.as_(cast.alice).get(url(job)).json()

        assert told == {
            "job_id": job.job_ref,
            "count": 0,
            "quality_score": None,
            "own": None,
            "ratings": [],
        }


def test_it_is_the_openai_jobs_quality_score(api: Api, cast: Cast, job: Job, provider: Provider) -> None:
    """Told, filtered and ordered by; unrated jobs last, whichever way."""
    other, unrated = world.submit(cast.alice), world.submit(cast.alice)
    for each in (other, unrated):
        loop.run(pipeline.run(each))
    api.as_(cast.alice).post(url(job), {"score": 8.5})
    api.as_(cast.bob).post(url(job), {"score": 4})
    api.as_(cast.alice).post(url(other), {"score": 2})

    def listed(query: str) -> list[tuple[int, float | None]]:
        rows = api.as_(cast.alice).get(f"/ai/openai/jobs/?{query}").json()["results"]
        return [(row["id"], row["quality_score"]) for row in rows]

    rated = [(other.pk, 2.0), (job.pk, 6.25)]
    assert listed("ordering=quality_score") == [*rated, (unrated.pk, None)]
    assert listed("ordering=-quality_score") == [*rated[::-1], (unrated.pk, None)]
    assert listed("quality_score__gte=6.25") == [rated[1]]
    assert listed("quality_score__lte=6") == [rated[0]]
    assert api.as_(cast.alice).get(f"/ai/openai/jobs/{job.pk}/").json()["quality_score"] == 6.25
