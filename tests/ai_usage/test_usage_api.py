"""``/ai/usage/``: the list, a row, manual entries, the explanation of a charge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ai_core import pipeline
from ai_usage import selectors
from ai_usage.api import pages
from ai_usage.models import LedgerEntry
from ai_usage.services import ratings
from megahub.kernel import clock, loop
from megahub.tenancy.models import Brand, Membership
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.usage import entry, fold
from tests.world import Cast

Provider = Callable[..., Scripted]
URL = "/ai/usage/"
THEN = datetime(2026, 3, 10, 12, tzinfo=UTC)
O3 = {"model": "o3", "generation": "new", "reasoning_effort": "high"}
MANUAL = {
    "provider_name": "openai",
    "model_name": "gpt-4o-mini",
    "input_tokens": 1000,
    "output_tokens": 500,
}


def rows(api: Api, cast: Cast, **params: Any) -> list[dict[str, Any]]:
    response = api.as_(cast.alice).get(URL, params=params)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


def run(cast: Cast) -> LedgerEntry:
    """A job that was really run: its settlement."""
    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))
    return world.ledger(job)[0]


class TestList:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion("Hi.", prompt=10, output=5))
        settled = run(cast)
        job = world.row(settled.job_id)
        ratings.rate(cast.company.pk, job.pk, cast.alice.user.pk, 85, "")

        response = api.as_(cast.alice).get(URL)

        answer = response.json()
        assert {name: answer[name] for name in ("count", "next", "previous")} == {
            "count": 1,
            "next": None,
            "previous": None,
        }
        assert answer["results"] == [
            {
                "id": settled.pk,
                "ai_job": {
                    "id": job.pk,
                    "job_id": job.job_id,
                    "job_type": {"id": job.job_type_id, "name": "chat_completion", "category": "chat"},
                    "status": "completed",
                    "brand": {"id": cast.brand.pk, "name": cast.brand.name},
                },
                "brand": {"id": cast.brand.pk, "name": cast.brand.name},
                "kind": "settle",
                "reference": job.job_id,
                "provider_name": "openai",
                "model_name": "gpt-4o-mini",
                "generation": "legacy",
                "reasoning_effort": None,
                "sandbox": True,
                "input_tokens": 10,
                "output_tokens": 5,
                "total_tokens": 15,
                "cached_tokens": 0,
                "reasoning_tokens": 0,
                "is_estimated": False,
                "cost_input": "0.000002",
                "cost_output": "0.000003",
                "total_cost": "0.000005",
                "cost_per_token": "0.000000300000",
                "execution_time_seconds": settled.execution_time_ms / 1000,
                "memory_usage_mb": None,
                "success_rate": 1.0,
                "error_count": 0,
                "quality_score": 8.5,
                "cost_efficiency": 0.5,
                "created_at": clock.iso(settled.created_at),
            }
        ]
        one = api.as_(cast.alice).get(f"{URL}{settled.pk}/")
        assert one.json() == answer["results"][0]

    @pytest.mark.parametrize(
        ("params", "wanted"),
        [
            ({"provider_name": "infomaniak"}, "c"),
            ({"provider": "infomaniak"}, "c"),
            ({"model_name": "o3"}, "b"),
            ({"model": "o3"}, "b"),
            ({"model__in": "o3,mixtral"}, "bc"),
            ({"model__startswith": "gpt-4o"}, "a"),
            ({"generation": "new"}, "b"),
            ({"generation__in": "new,legacy"}, "abc"),
            ({"reasoning_effort": "high"}, "b"),
            ({"total_cost__gte": "0.000005"}, "b"),
            ({"total_cost__lte": "0.000004"}, "a"),
            ({"total_cost__gte": "1000000000"}, ""),
            ({"execution_time_seconds__gte": "1.5"}, "c"),
            ({"execution_time_seconds__lte": "1.4"}, "ab"),
            ({"success_rate__lt": "1.0"}, "b"),
            ({"success_rate__lt": "0"}, ""),
            ({"success_rate__lt": "1.1"}, "abc"),
            ({"created_at__gte": "2026-03-11"}, "bc"),
            ({"created_at__lte": "2026-03-11T00:00:00Z"}, "a"),
            ({"quality_score__gte": "8"}, "a"),
            ({"quality_score__gte": "8.1"}, ""),
        ],
    )
    def test_filters(self, api: Api, cast: Cast, params: dict[str, str], wanted: str) -> None:
        first = entry(cast, THEN, job_ref="a")
        fields = {"outcome": "failed", "is_success": False, "job_ref": "b", **O3}
        entry(cast, THEN + timedelta(days=1), cost=9000, **fields)
        model = {"provider": "infomaniak", "model": "mixtral"}
        entry(
            cast, THEN + timedelta(days=2), job_ref="c", cost_nano_usd=None, execution_time_ms=1500, **model
        )  # fmt: skip
        job_id = first.job_id
        ratings.rate(cast.company.pk, job_id, cast.alice.user.pk, 80, "")

        found = {row["reference"] for row in rows(api, cast, **params)}
        assert found == set(wanted)

    def test_by_the_jobs_status_and_brand(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion())
        run(cast)
        other = Brand.objects.unscoped().create(company=cast.company, name="Other")
        entry(cast, THEN, brand_id=other.pk)

        assert len(rows(api, cast)) == 2
        assert len(rows(api, cast, ai_job__status="completed")) == 1
        assert rows(api, cast, ai_job__status="failed") == []
        assert [row["brand"]["id"] for row in rows(api, cast, ai_job__brand=other.pk)] == [other.pk]
        for brand in (cast.charlie.brand.pk, 10**15):
            answer = api.as_(cast.alice).get(URL, params={"ai_job__brand": brand})
            assert (answer.status_code, answer.json()["error_code"]) == (404, "BRAND_NOT_FOUND")

    def test_by_cost_efficiency(self, api: Api, cast: Cast) -> None:
        now = clock.now()
        entry(cast, now, cost=1500, job_ref="cheap")
        entry(cast, now, cost=4500, job_ref="dear")
        entry(cast, now, cost=0, job_ref="free")
        entry(cast, THEN, cost_nano_usd=None, job_ref="unpriced")

        # 6000 nano for 45 tokens: 133.33 a token on average.
        told = {row["reference"]: row["cost_efficiency"] for row in rows(api, cast)}
        assert told == {"cheap": 0.5714, "dear": 0.3077, "free": 1.0, "unpriced": None}
        for value, wanted in (
            ("0.5", {"cheap", "free"}),
            ("1", {"free"}),
            ("0", {"cheap", "dear", "free"}),
        ):
            found = rows(api, cast, cost_efficiency__gte=value)
            assert {row["reference"] for row in found} == wanted
        ordered = [row["reference"] for row in rows(api, cast, ordering="-cost_efficiency")]
        assert ordered == ["free", "cheap", "dear", "unpriced"]

    @pytest.mark.parametrize(
        ("ordering", "wanted"),
        [
            ("", "cba"),
            ("created_at", "abc"),
            ("-created_at", "cba"),
            ("total_cost", "bac"),
            ("-total_cost", "abc"),
            ("model_name,-created_at", "bca"),
            ("generation,-total_cost", "bca"),
            ("-execution_time_seconds", "acb"),
            ("reasoning_effort", "acb"),
            ("-quality_score", "bca"),
            ("total_tokens,id", "bac"),
            ("-id", "cba"),
            ("model", "bca"),
            ("provider_name,id", "cab"),
            ("execution_time", "cab"),
            ("input_tokens", "bac"),
            ("-output_tokens", "abc"),
            ("success_rate,id", "bac"),
        ],
    )
    def test_orderings(self, api: Api, cast: Cast, ordering: str, wanted: str) -> None:
        entry(cast, THEN, cost=2000, job_ref="a", **O3, execution_time_ms=300, output_tokens=7)
        middle = entry(
            cast, THEN + timedelta(days=1), cost=1000, job_ref="b", execution_time_ms=None, input_tokens=0,
            outcome="failed", is_success=False,
        )  # fmt: skip
        late = entry(
            cast, THEN + timedelta(days=2), cost_nano_usd=None, job_ref="c", input_tokens=99,
            reasoning_effort="low", execution_time_ms=200, model="gpt-5", output_tokens=1,
            provider="infomaniak",
        )  # fmt: skip
        ratings.rate(cast.company.pk, middle.job_id, cast.alice.user.pk, 90, "")
        ratings.rate(cast.company.pk, late.job_id, cast.alice.user.pk, 10, "")
        params = {"ordering": ordering} if ordering else {}

        assert "".join(row["reference"] for row in rows(api, cast, **params)) == wanted

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("foo=1", None),
            ("total_cost__gte=dear", "total_cost__gte"),
            ("success_rate__lt=x", "success_rate__lt"),
            ("created_at__gte=yesterday", "created_at__gte"),
            ("created_at__gte=2026-02-30", "created_at__gte"),
            ("created_at__gte=2026-03-02&created_at__lte=2026-03-01", "created_at__gte"),
            ("total_cost__gte=2&total_cost__lte=1", "total_cost__gte"),
            ("total_cost__gte=1e40", "total_cost__gte"),
            ("ai_job__status=done", "ai_job__status"),
            ("ai_job__brand=x", "ai_job__brand"),
            ("generation=old", "generation"),
            ("generation__in=new,old", "generation__in"),
            ("quality_score__gte=11", "quality_score__gte"),
            ("cost_efficiency__gte=2", "cost_efficiency__gte"),
            ("sandbox=maybe", "sandbox"),
            ("ordering=beauty", "ordering"),
            ("page_size=101", "page_size"),
            ("page=x", "page"),
        ],
    )
    def test_bad_parameters(self, api: Api, cast: Cast, query: str, field: str | None) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == 400, response.text
        if field is not None:
            assert list(response.json()["field_errors"]) == [field]

    def test_who_may(self, api: Api, cast: Cast) -> None:
        own = entry(cast, THEN)
        assert api.get(URL).status_code == 401
        writer = cast.alice.api_key("jobs:write")
        assert api.as_(writer).get(URL).json()["error_code"] == "SCOPE_MISSING"
        assert api.as_(cast.charlie).get(URL).json()["count"] == 0
        for path in (f"{own.pk}/", f"{own.pk}/explain/"):
            foreign = api.as_(cast.charlie).get(URL + path)
            absent = api.as_(cast.charlie).get(URL + path.replace(str(own.pk), str(10**15)))
            assert (foreign.status_code, foreign.content) == (404, absent.content)
        other = Brand.objects.unscoped().create(company=cast.company, name="Other")
        hidden = entry(cast, THEN, brand_id=other.pk)
        Membership.objects.of(cast.company.pk).get(user=cast.bob.user).brands.set([cast.brand])
        assert [row["id"] for row in api.as_(cast.bob).get(URL).json()["results"]] == [own.pk]
        assert api.as_(cast.bob).get(f"{URL}{hidden.pk}/").status_code == 404

    def test_played_and_real_rows_are_apart(self, api: Api, cast: Cast) -> None:
        entry(cast, THEN, job_ref="played")
        real = entry(cast, THEN, job_ref="real", sandbox=False)

        assert [row["reference"] for row in rows(api, cast)] == ["played"]
        assert [row["reference"] for row in rows(api, cast, sandbox="false")] == ["real"]
        assert api.as_(cast.alice).get(f"{URL}{real.pk}/").json()["reference"] == "real"

    def test_pages_and_counts(self, api: Api, cast: Cast) -> None:
        for number in range(30):
            entry(cast, THEN + timedelta(minutes=number), model="o3" if number % 3 else "gpt-4o")
        fold()
        entry(cast, THEN + timedelta(hours=1), model="o3")

        first = api.as_(cast.alice).get(URL).json()
        assert (first["count"], len(first["results"])) == (31, 25)
        second = api.as_(cast.alice).get(f"{URL}?page=2").json()
        assert len(second["results"]) == 6
        assert not {row["id"] for row in first["results"]} & {row["id"] for row in second["results"]}
        assert api.as_(cast.alice).get(f"{URL}?model=o3").json()["count"] == 21
        assert api.as_(cast.alice).get(f"{URL}?created_at__gte=2026-03-10T12:20:00Z").json()["count"] == 11
        assert api.as_(cast.alice).get(f"{URL}?page=3").status_code == 404

    def test_by_cursor(self, api: Api, cast: Cast) -> None:
        for number in range(7):
            entry(cast, THEN + timedelta(minutes=number // 2), job_ref=str(number))
        url, found = f"{URL}?cursor=&page_size=3", []
        while url:
            answer = api.as_(cast.alice).get(url.removeprefix(api.url)).json()
            found.append([row["reference"] for row in answer["results"]])
            assert (answer["count"], answer["previous"] is None) == (None, len(found) == 1)
            url = answer["next"]

        assert found == [["6", "5", "4"], ["3", "2", "1"], ["0"]]

    def test_what_the_rollups_do_not_know_is_counted_so_far(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Beyond that the count is null, and the pages go on."""
        monkeypatch.setattr(pages, "MOST_COUNTED", 4)
        for number in range(5):
            entry(cast, THEN + timedelta(minutes=number), 1000, job_ref=str(number))
        some, many = "total_cost__lte=1&created_at__gte=2000-01-01T00:00:00Z", f"{URL}?page_size=2"

        first = api.as_(cast.alice).get(f"{many}&{some}").json()
        last = api.as_(cast.alice).get(f"{many}&{some}&page=3").json()
        known = api.as_(cast.alice).get(many).json()

        assert (first["count"], last["count"], known["count"]) == (None, None, 5)
        assert [row["reference"] for row in first["results"]] == ["4", "3"]
        assert ([row["reference"] for row in last["results"]], last["next"]) == (["0"], None)
        assert ("page=2" in first["next"], "page=2" in last["previous"]) == (True, True)
        assert api.as_(cast.alice).get(f"{many}&{some}&page=4").status_code == 404

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("cursor=x", "cursor"),
            ("cursor=%C3%A9", "cursor"),
            ("cursor=MjAyNi0wMS0wMSAx", "cursor"),
            ("cursor=&page=2", "cursor"),
        ],
    )
    def test_bad_cursors(self, api: Api, cast: Cast, query: str, field: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")
        assert (response.status_code, list(response.json()["field_errors"])) == (400, [field])


class TestManual:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="5")

        response = api.as_(cast.bob).post(URL, {**MANUAL, "reference": "invoice-7", "total_cost": "1.25"})

        assert response.status_code == 201, response.text
        row = response.json()
        assert (row["ai_job"], row["kind"], row["reference"]) == (None, "manual", "invoice-7")
        assert (row["total_cost"], row["cost_input"], row["total_tokens"]) == ("1.250000", None, 1500)
        assert (row["brand"]["id"], row["success_rate"]) == (cast.brand.pk, 1.0)
        stored = LedgerEntry.objects.of(cast.company.pk).get()
        assert (stored.charged_nano_usd, stored.job_id < 0) == (0, True)
        assert world.window(budget) is None
        dashboard = api.as_(cast.alice).get("/ai/usage/dashboard/").json()
        assert (dashboard["totals"]["jobs"], dashboard["totals"]["cost"]) == (1, "1.250000")
        assert dashboard["top_costly_jobs"][0]["job_id"] == "invoice-7"
        assert rows(api, cast)[0] == row

    def test_priced_by_the_catalogue(self, api: Api, cast: Cast) -> None:
        told = {**MANUAL, "cached_tokens": 400, "execution_time_seconds": 1.5, "is_success": False}
        row = api.as_(cast.alice).post(URL, told).json()

        # 0.15, 0.075 and 0.60 USD per million.
        assert (row["cost_input"], row["cost_output"], row["total_cost"]) == (
            "0.000120",
            "0.000300",
            "0.000420",
        )
        assert (row["input_tokens"], row["cached_tokens"]) == (1000, 400)
        assert (row["execution_time_seconds"], row["success_rate"]) == (1.5, 0.0)
        explained = api.as_(cast.alice).get(f"{URL}{row['id']}/explain/").json()
        assert explained["adds_up"] is True

    def test_a_reference_is_taken_once(self, api: Api, cast: Cast) -> None:
        told = {**MANUAL, "reference": "once", "total_cost": "1"}
        assert api.as_(cast.alice).post(URL, told).status_code == 201

        again = api.as_(cast.alice).post(URL, told)
        assert (again.status_code, again.json()["error_code"]) == (409, "CONFLICT")
        assert LedgerEntry.objects.of(cast.company.pk).count() == 1
        assert api.as_(cast.charlie).post(URL, told).status_code == 201

    def test_of_another_day(self, api: Api, cast: Cast) -> None:
        moment = (clock.now() - timedelta(days=40)).isoformat()
        row = api.as_(cast.alice).post(URL, {**MANUAL, "total_cost": "1", "created_at": moment}).json()

        assert datetime.fromisoformat(row["created_at"]) == datetime.fromisoformat(moment)
        fold()
        dashboard = api.as_(cast.alice).get("/ai/usage/dashboard/?days=30").json()
        assert dashboard["totals"]["jobs"] == 0

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"input_tokens": -1}, "input_tokens"),
            ({"input_tokens": None}, "input_tokens"),
            ({"output_tokens": 10**13}, "output_tokens"),
            ({"total_cost": "-1"}, "total_cost"),
            ({"total_cost": "NaN"}, "total_cost"),
            ({"model_name": "no-such-model"}, "total_cost"),
            ({"provider_name": "infomaniak"}, "total_cost"),
            ({"cached_tokens": 1001}, "cached_tokens"),
            ({"reasoning_tokens": 501}, "reasoning_tokens"),
            ({"total_cost": "1", "cost_input": "2"}, "cost_input"),
            ({"cost_input": "2"}, "cost_input"),
            ({"created_at": "2999-01-01T00:00:00Z"}, "created_at"),
            ({"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
            ({"execution_time_seconds": -1}, "execution_time_seconds"),
            ({"reference": "a b"}, "reference"),
            ({"model_name": ""}, "model_name"),
            ({"foo": 1}, None),
        ],
    )
    def test_bad_input_changes_nothing(
        self, api: Api, cast: Cast, change: dict[str, Any], field: str | None
    ) -> None:
        response = api.as_(cast.alice).post(URL, {**MANUAL, **change})

        assert response.status_code == 400, response.text
        if field is not None:
            assert list(response.json()["field_errors"]) == [field]
        assert not LedgerEntry.objects.of(cast.company.pk).exists()

    def test_who_may(self, api: Api, cast: Cast) -> None:
        assert api.post(URL, MANUAL).status_code == 401
        reader = cast.alice.api_key("usage:read")
        assert api.as_(reader).post(URL, MANUAL).json()["error_code"] == "SCOPE_MISSING"
        assert not LedgerEntry.objects.of(cast.company.pk).exists()


class TestExplain:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider) -> None:
        world.make_budget(cast.company, usd="5")
        provider(completion("Hi.", prompt=1000, output=500))
        settled = run(cast)

        answer = api.as_(cast.alice).get(f"{URL}{settled.pk}/explain/").json()

        assert answer == {
            "id": settled.pk,
            "reference": settled.job_ref,
            "model": "gpt-4o-mini",
            "provider": "openai",
            "sandbox": True,
            "is_estimated": False,
            "lines": [
                {"token_class": "input", "tokens": 1000, "rate": "0.15", "amount": "0.000150"},
                {"token_class": "output", "tokens": 500, "rate": "0.6", "amount": "0.000300"},
            ],
            "price": {
                "since": str(settled.price_since),
                "currency": "USD",
                "unit": "per_1M_tokens",
                "source": answer["price"]["source"],
            },
            "rate": {"currency": "USD", "usd": "1", "day": "1970-01-01"},
            "amount": "0.000450",
            "currency": "USD",
            "total_cost": "0.000450",
            "adds_up": True,
            "reservation": f"{settled.reserved_nano_usd / 1e9:.6f}",
            "settlement": {
                "kind": "settle",
                "created_at": clock.iso(settled.created_at),
                "cost": "0.000450",
                "cost_input": "0.000150",
                "charged": "0.000450",
            },
            "adjustments": [],
        }

    def test_what_was_priced_later(self, api: Api, cast: Cast) -> None:
        late = entry(cast, THEN, cost_nano_usd=None, cost_input_nano_usd=None, charged_nano_usd=9000)
        entry(
            cast, THEN, kind="adjust", job_id=late.job_id, job_ref=late.job_ref, cost=700,
            charged_nano_usd=-8300, input_tokens=0, output_tokens=0,
        )  # fmt: skip

        answer = api.as_(cast.alice).get(f"{URL}{late.pk}/explain/").json()

        assert (answer["total_cost"], answer["settlement"]["cost"]) == ("0.000001", None)
        assert [each["charged"] for each in answer["adjustments"]] == ["-0.000008"]
        assert (answer["price"], answer["adds_up"]) == (None, None)
        assert answer["lines"][0] == {"token_class": "input", "tokens": 10, "rate": None, "amount": None}


def test_what_the_rollups_do_not_know_is_not_looked_for(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry(cast, clock.now())
    assert len(rows(api, cast, sandbox="true")) == 1
    monkeypatch.setattr(selectors, "extent", lambda *_: selectors.Extent(0, None, None))
    assert rows(api, cast, sandbox="true") == rows(api, cast, sandbox="true", cursor="") == []
