"""``GET /ai/jobs/``: search, filters across extensions, orderings, and pages by cursor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.api.filters import ORDERING
from ai_core.models import AIJob
from ai_usage.api import pages
from megahub.kernel import loop
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/jobs/"


def found(api: Api, cast: Cast, query: str) -> list[int]:
    response = api.as_(cast.alice).get(f"{URL}?{query}")
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()["results"]]


def ran(cast: Cast, provider: Provider, tokens: int = 1000, **fields: Any) -> int:
    """A job of Alice's that used so many input tokens."""
    provider(completion("Hi.", tokens, 0))
    job = world.submit(cast.alice, **fields)
    loop.run(pipeline.finish(job))
    return job.pk


class TestSearch:
    @pytest.mark.parametrize(
        "input_data",
        [
            {"model": "gpt-4o", "messages": [{"role": "user", "content": "Une clé d'Été (50%_.*)"}]},
            {
                "model": "gpt-4o",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "Une clé d'Été (50%_.*)"}]},
                ],
            },
            {"model": "gpt-4o", "prompt": "Une clé d'Été (50%_.*)"},
        ],
    )
    def test_the_text_of_the_prompt(
        self, api: Api, cast: Cast, rung: Rung, input_data: dict[str, Any]
    ) -> None:
        body = {"job_type": "chat_completion", "input_data": input_data}
        made = api.as_(cast.alice).post(URL, body).json()
        world.submit(cast.alice, "Something else", later=True)

        for text in ("clé", "UNE CL", "(50%25_.*)", "d'"):
            assert found(api, cast, f"search={text}") == [made["id"]]
        # Names of parameters, roles and patterns are no text of the prompt.
        for text in ("messages", "system", "50.._", "cl.", "gpt-4o"):
            assert found(api, cast, f"search={text}") == []

    def test_the_input_of_embeddings(self, api: Api, cast: Cast, rung: Rung) -> None:
        for given in ("A needle", ["Hay", "A needle"]):
            body = {
                "job_type": "embeddings",
                "input_data": {"model": "text-embedding-3-small", "input": given},
            }
            api.as_(cast.alice).post(URL, body)

        assert len(found(api, cast, "search=needle")) == 2
        assert len(found(api, cast, "search=hay")) == 1

    @pytest.mark.parametrize("text", ["%22%5C$", "%F0%9F%99%82", "' OR 1=1 --", "%0A"])
    def test_any_text_may_be_searched(self, api: Api, cast: Cast, rung: Rung, text: str) -> None:
        world.submit(cast.alice, later=True)

        assert found(api, cast, f"search=x{text}") == []

    @pytest.mark.parametrize("text", ["%00", "a" * 201])
    def test_some_may_not(self, api: Api, cast: Cast, text: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?search={text}")

        assert (response.status_code, list(response.json()["field_errors"])) == (400, ["search"])


class TestAcrossExtensions:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        cheap = ran(cast, provider, 1000)  # 0.00015 USD
        dear = ran(cast, provider, 1000, model="o3", params={"reasoning_effort": "high"})  # 0.002 USD
        waiting = world.submit(cast.alice, model="gpt-4o", later=True).pk
        AIJob.objects.unscoped().filter(pk=dear).update(priority="high")

        assert found(api, cast, "openai_job__model=o3") == [dear]
        assert found(api, cast, "openai_job__generation=new") == [dear]
        assert found(api, cast, "openai_job__generation=legacy") == [waiting, cheap]
        assert found(api, cast, "openai_job__reasoning_effort=high") == [dear]
        assert found(api, cast, "usage__total_cost__gte=0.00015") == [dear, cheap]
        assert found(api, cast, "usage__total_cost__gte=0.000151") == [dear]
        assert found(api, cast, "usage__total_cost__lte=0.001") == [cheap]
        assert found(api, cast, "usage__execution_time_seconds__gte=0") == [dear, cheap]
        assert found(api, cast, "usage__execution_time_seconds__gte=3600") == []
        assert found(api, cast, "usage__execution_time_seconds__lte=3600") == [dear, cheap]
        assert found(api, cast, "sandbox=true&progress_percentage__gte=50") == [dear, cheap]
        assert found(api, cast, "progress_percentage__lte=50") == [waiting]
        assert found(api, cast, "sandbox=false") == []

    def test_orderings(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        cheap = ran(cast, provider, 1000)
        dear = ran(cast, provider, 5000)
        waiting = world.submit(cast.alice, model="gpt-4o", later=True).pk

        # What has no cost yet comes last, both ways and on both databases.
        assert found(api, cast, "ordering=-usage__total_cost") == [dear, cheap, waiting]
        assert found(api, cast, "ordering=usage__total_cost") == [cheap, dear, waiting]
        assert found(api, cast, "ordering=model,-id") == [waiting, dear, cheap]
        assert found(api, cast, "ordering=generation,-created_at") == [waiting, dear, cheap]
        assert found(api, cast, "ordering=completed_at") == [cheap, dear, waiting]

    @pytest.mark.parametrize("name", sorted(ORDERING))
    def test_every_ordering_is_one(self, api: Api, cast: Cast, rung: Rung, name: str) -> None:
        jobs = {world.submit(cast.alice, later=True).pk for _ in range(2)}

        assert set(found(api, cast, f"ordering={name}")) == jobs
        assert set(found(api, cast, f"ordering=-{name},id")) == jobs

    @pytest.mark.parametrize(
        "query",
        [
            "created_at__gte=2026-02-02&created_at__lte=2026-02-01",
            "progress_percentage__gte=60&progress_percentage__lte=50",
            "usage__total_cost__gte=2&usage__total_cost__lte=1",
            "created_by=1.5",
            "created_by=99999999999999999999",
            "usage__total_cost__gte=1e30",
            "usage__total_cost__gte=NaN",
            "usage__execution_time_seconds__gte=-1",
            "openai_job__generation=old",
            "created_at__gte=2026-02-31",
            "sandbox=1",
        ],
    )
    def test_a_bad_query_is_refused_by_name(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == 400, response.text
        assert list(response.json()["field_errors"]) == [query.split("=", maxsplit=1)[0]]


@pytest.mark.parametrize(
    ("limit", "query"), [("MOST_JOBS_COUNTED", ""), ("MOST_FOUND_COUNTED", "&search=hello")]
)
def test_too_many_jobs_are_not_counted(
    api: Api, cast: Cast, rung: Rung, monkeypatch: pytest.MonkeyPatch, limit: str, query: str
) -> None:
    jobs = [world.submit(cast.alice, later=True).pk for _ in range(3)][::-1]
    for most, wanted in ((2, None), (3, 3)):
        monkeypatch.setattr(pages, limit, most)
        first = api.as_(cast.alice).get(f"{URL}?page_size=2{query}").json()
        last = api.as_(cast.alice).get(f"{URL}?page_size=2&page=2{query}").json()

        assert (first["count"], "page=2" in first["next"], first["previous"]) == (wanted, True, None)
        assert [row["id"] for row in first["results"] + last["results"]] == jobs
        assert (last["count"], last["next"], last["previous"] is not None) == (wanted, None, True)
        assert api.as_(cast.alice).get(f"{URL}?page_size=2&page=3{query}").status_code == 404


class TestCursor:
    def test_it_works(self, api: Api, cast: Cast, rung: Rung) -> None:
        jobs = [world.submit(cast.alice, later=True).pk for _ in range(5)][::-1]
        moment = world.row(jobs[0]).created_at
        # Three of them were made in the same moment: their numbers decide.
        AIJob.objects.unscoped().filter(pk__in=jobs[1:4]).update(created_at=moment)

        for ordering in ("", "&ordering=-created_at", "&ordering=model,-id", "&ordering=-status"):
            seen, url = [], f"{URL}?cursor=&page_size=2{ordering}"
            while url:
                answer = api.as_(cast.alice).get(url.removeprefix(api.url)).json()
                assert (answer["count"], answer["previous"] is None) == (None, not seen)
                seen += [row["id"] for row in answer["results"]]
                url = answer["next"]
            assert seen == sorted(jobs, reverse=True)

    def test_what_is_added_meanwhile_moves_nothing(self, api: Api, cast: Cast, rung: Rung) -> None:
        jobs = [world.submit(cast.alice, later=True).pk for _ in range(3)]

        first = api.as_(cast.alice).get(f"{URL}?cursor=&page_size=2").json()
        world.submit(cast.alice, later=True)
        second = api.as_(cast.alice).get(first["next"].removeprefix(api.url)).json()

        assert [row["id"] for row in second["results"]] == jobs[:1]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("cursor=nonsense", "cursor"),
            ("cursor=W10", "cursor"),
            ("cursor=WzEsMl0", "cursor"),
            ("cursor=%C3%A9", "cursor"),
            ("cursor=&page=2", "cursor"),
            ("cursor=&page_size=0", "page_size"),
        ],
    )
    def test_a_bad_cursor_is_refused(self, api: Api, cast: Cast, query: str, field: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]

    def test_a_cursor_of_another_ordering_is_refused(self, api: Api, cast: Cast, rung: Rung) -> None:
        for _ in range(2):
            world.submit(cast.alice, later=True)
        first = api.as_(cast.alice).get(f"{URL}?cursor=&page_size=1").json()

        other = first["next"].removeprefix(api.url) + "&ordering=model"

        assert api.as_(cast.alice).get(other).status_code == 400
