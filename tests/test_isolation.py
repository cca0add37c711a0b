"""Of what is another company's nothing can be told: every answer is byte for byte an absent id's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from ai_core.models import AIJob
from megahub.tenancy import services
from megahub.tenancy.models import ApiKey
from tests import routes, world
from tests.conftest import Api
from tests.world import Cast, Person

ABSENT_NUMBER = "999999999"
ABSENT_JOB = "ai_job_000000000000000000000000"
Rung = list[tuple[str, tuple[Any, ...], str]]


@dataclass(frozen=True)
class Row:
    """A method of a path, what to send, and whether its id is a job's or a key's."""

    method: str
    path: str
    owned: str
    body: Any = None


ROWS = [
    Row("GET", "/ai/jobs/{ref}/", "job"),
    Row("PUT", "/ai/jobs/{ref}/", "job", {"description": "mine now", "priority": "low"}),
    Row("PATCH", "/ai/jobs/{ref}/", "job", {"description": "mine now"}),
    Row("DELETE", "/ai/jobs/{ref}/", "job"),
    Row("POST", "/ai/jobs/{ref}/cancel/", "job"),
    Row("GET", "/ai/jobs/{ref}/events/", "job"),
    Row("DELETE", "/auth/keys/{key_id}/", "key"),
]
#: Ids in the query.
QUERIES = [Row("GET", "/ai/openai/completion/job_result/?job_id={ref}", "job")]
#: What belongs to no company.
EVERYBODYS = {("GET", "/ai/job-types/{pk}/"), ("GET", "/v1/models/{model_id}")}


@dataclass(frozen=True)
class Owned:
    """What Alice's company has, and what it looked like."""

    job: AIJob
    key: ApiKey

    def ids(self, kind: str) -> list[tuple[str, str]]:
        """(an id of theirs, an absent one of its kind)."""
        if kind == "key":
            return [(str(self.key.pk), ABSENT_NUMBER)]
        return [(str(self.job.pk), ABSENT_NUMBER), (self.job.job_id, ABSENT_JOB)]

    def now(self) -> tuple[Any, ...]:
        job, key = world.row(self.job.pk), ApiKey.objects.unscoped().get(pk=self.key.pk)
        return job.status, job.revision, job.description, job.cancel_requested_at, key.revoked_at


@pytest.fixture
def owned(cast: Cast, rung: Rung) -> Owned:
    job = world.submit(cast.alice, "Canary", later=True, description="Canary")
    key, _ = services.make_api_key(cast.alice.caller, "canary", ["inference"], None, None)
    return Owned(world.row(job), key)


def told(response: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All of an answer but its own number and the time."""
    own = {"x-request-id", "date"}
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in own]
    return response.status_code, response.content, headers


def test_every_endpoint_with_an_id_has_its_row() -> None:
    """A new one fails here until it is in the table."""
    ours = {
        (method, path)
        for path, pattern in routes.of_the_api().items()
        if "{" in path
        for method in routes.methods_of(pattern)
    }

    assert ours == {(row.method, row.path) for row in ROWS} | EVERYBODYS


@pytest.mark.parametrize("row", [*ROWS, *QUERIES], ids=lambda row: f"{row.method} {row.path}")
def test_a_foreign_id_is_an_absent_one(api: Api, cast: Cast, owned: Owned, row: Row) -> None:
    if row.path.endswith("/events/"):  # they go on until the job has ended
        assert api.as_(cast.alice).post(f"/ai/jobs/{owned.job.pk}/cancel/").status_code == 200
    before = owned.now()

    def ask(person: Person, ref: str) -> httpx2.Response:
        path = row.path.replace("{ref}", ref).replace("{key_id}", ref)
        return api.as_(person).request(row.method, path, json=row.body)

    for theirs, absent in owned.ids(row.owned):
        foreign = ask(cast.charlie, theirs)
        assert foreign.status_code == 404
        assert told(foreign) == told(ask(cast.charlie, absent))
    assert owned.now() == before
    # And the owner's is there: what was compared is not a path that nobody has.
    theirs, _ = owned.ids(row.owned)[0]
    assert ask(cast.alice, theirs).status_code < 300


@pytest.mark.parametrize("path", ["/ai/jobs/", "/auth/keys/"])
def test_lists_hold_nothing_of_theirs(api: Api, cast: Cast, owned: Owned, path: str) -> None:
    assert "anary" in api.as_(cast.alice).get(path).text
    assert "anary" not in api.as_(cast.charlie).get(path).text


def test_another_brand_of_ones_own_company_is_foreign_too(api: Api, cast: Cast, owned: Owned) -> None:
    """Jobs belong to brands: with another brand's id in the header they are not found."""
    company = cast.company
    other = type(cast.brand).objects.unscoped().create(company=company, name="Other brand")
    elsewhere = api.as_(cast.alice, x_brand_id=str(other.pk))

    foreign = elsewhere.get(f"/ai/jobs/{owned.job.pk}/")

    assert foreign.status_code == 404
    assert told(foreign) == told(elsewhere.get(f"/ai/jobs/{ABSENT_NUMBER}/"))
