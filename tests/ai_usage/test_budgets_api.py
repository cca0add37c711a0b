"""``/ai/budgets/``: made, read, changed and deleted; what they refuse is in ``test_budgets.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_usage.models import Budget, BudgetWindow
from megahub.kernel import clock, loop, money
from megahub.tenancy.models import Brand, Membership
from megahub.tenancy.selectors import forget_callers
from tests import world
from tests.ai_usage.test_rate_limits import _key_of
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

URL = "/ai/budgets/"
CHAT = "/ai/openai/chat/"
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
NOTHING = {
    "spent": "0.000000000",
    "forgiven": "0.000000000",
    "used": "0.000000000",
    "held": "0.000000000",
    "over": "0.000000000",
}


def make(api: Api, cast: Cast, **fields: Any) -> dict[str, Any]:
    response = api.as_(cast.alice).post(URL, {"period": "month", "limit": "10", **fields})
    assert response.status_code == 201, response.text
    return dict(response.json())


class TestChange:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)

        row = make(api, cast, limit="12.5")

        start = clock.now().date().replace(day=1).isoformat()
        window = {"starts_on": start, **NOTHING, "left": "12.500000000"}
        assert row == {
            "id": row["id"],
            "scope": "company",
            "scope_value": "",
            "period": "month",
            "unit": "usd",
            "limit": "12.500000000",
            "is_hard": True,
            "is_active": True,
            "ends_at": row["ends_at"],
            "current": {**window, "sandbox": False},
            "current_sandbox": {**window, "sandbox": True},
            "created_at": row["created_at"],
            "changed_at": row["created_at"],
        }
        one = f"{URL}{row['id']}/"
        assert alice.get(one).json() == row
        put = alice.request("PUT", one, json={"limit": "7", "is_hard": False})
        assert (put.status_code, put.json()["limit"], put.json()["is_hard"]) == (200, "7.000000000", False)
        off = alice.request("PATCH", one, json={"is_active": False})
        assert (off.json()["is_active"], off.json()["limit"]) == (False, "7.000000000")
        assert alice.request("DELETE", one).status_code == 204
        assert alice.get(one).status_code == 404

    def test_every_scope_period_and_unit(self, api: Api, cast: Cast) -> None:
        cast.alice.api_key()
        values = {
            "company": "",
            "brand": str(cast.brand.pk),
            "provider": "openai",
            "model": "gpt-4o",
            "api_key": str(_key_of(cast.alice)),
            "user": str(cast.bob.user.pk),
        }
        for scope, value in values.items():
            made = make(
                api, cast, scope=scope, scope_value=value, period="day", unit="tokens", limit="5000"
            )
            assert (made["limit"], made["current"]["left"]) == ("5000", "5000")
            total = make(api, cast, scope=scope, scope_value=value, period="total", unit="jobs", limit="3")
            assert (total["ends_at"], total["current"]["starts_on"]) == (None, "1970-01-01")

    def test_idempotent(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice, idempotency_key="one")
        body = {"period": "day", "limit": "1"}

        first, again = alice.post(URL, body), alice.post(URL, body)

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"limit": "1"}, "period"),
            ({"period": "day"}, "limit"),
            ({"period": "week", "limit": "1"}, "period"),
            ({"period": "day", "limit": "-1"}, "limit"),
            ({"period": "day", "limit": "much"}, "limit"),
            ({"period": "day", "limit": None}, "limit"),
            ({"period": "day", "limit": "1.0000000001"}, "limit"),
            ({"period": "day", "limit": "1000000001"}, "limit"),
            ({"period": "day", "limit": "1.5", "unit": "tokens"}, "limit"),
            ({"period": "day", "limit": "1", "unit": "euro"}, "unit"),
            ({"period": "day", "limit": "1", "scope": "planet"}, "scope"),
            ({"period": "day", "limit": "1", "scope": "brand"}, "scope_value"),
            ({"period": "day", "limit": "1", "scope": "brand", "scope_value": "x"}, "scope_value"),
            ({"period": "day", "limit": "1", "scope": "model", "scope_value": "gpt-0"}, "scope_value"),
            ({"period": "day", "limit": "1", "scope": "provider", "scope_value": "acme"}, "scope_value"),
            ({"period": "day", "limit": "1", "scope_value": "7"}, "scope_value"),
            ({"period": "day", "limit": "1", "is_hard": "perhaps"}, "is_hard"),
        ],
    )
    def test_bad_input(self, api: Api, cast: Cast, body: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(URL, body)

        assert response.status_code == 400
        assert list(response.json()["field_errors"]) == [field]
        own = Budget.objects.of(cast.company.pk).exclude(scope__in=("reasoning", "provider"))
        assert not own.exists()

    @pytest.mark.parametrize("scope", ["brand", "api_key", "user"])
    def test_a_strangers_id_is_like_none(self, api: Api, cast: Cast, scope: str) -> None:
        cast.charlie.api_key()
        theirs = {
            "brand": cast.charlie.brand.pk,
            "api_key": _key_of(cast.charlie),
            "user": cast.charlie.user.pk,
        }

        def ask(value: int) -> Any:
            body = {"period": "day", "limit": "1", "scope": scope, "scope_value": str(value)}
            return api.as_(cast.alice).post(URL, body)

        foreign, absent = ask(theirs[scope]), ask(999999999)
        assert (foreign.status_code, foreign.json()) == (400, absent.json())

    def test_one_of_each(self, api: Api, cast: Cast) -> None:
        make(api, cast)

        again = api.as_(cast.alice).post(URL, {"period": "month", "limit": "11"})

        assert again.status_code == 400
        assert again.json()["field_errors"] == {
            "scope": ["There is a budget of this scope, period and unit already; change it."]
        }

    def test_what_is_counted_does_not_change(self, api: Api, cast: Cast) -> None:
        row = make(api, cast)

        response = api.as_(cast.alice).request("PATCH", f"{URL}{row['id']}/", json={"period": "day"})

        assert (response.status_code, response.json()["invalid_params"]) == (400, ["period"])

    def test_only_owners_and_administrators_change_one(self, api: Api, cast: Cast) -> None:
        row = make(api, cast)
        bob, one = api.as_(cast.bob), f"{URL}{row['id']}/"

        assert bob.get(one).status_code == 200
        for response in (
            bob.post(URL, {"period": "day", "limit": "1"}),
            bob.request("PATCH", one, json={"limit": "1000"}),
            bob.request("DELETE", one),
        ):
            assert (response.status_code, response.json()["required_scope"]) == (403, "limits:manage")
        assert api.as_(cast.alice).get(one).json() == row

    def test_those_that_every_company_has_are_switched_off(self, api: Api, cast: Cast) -> None:
        alice = api.as_(cast.alice)
        rows = alice.get(f"{URL}?scope=reasoning").json()["results"]
        assert [row["unit"] for row in rows] == ["usd", "jobs"]
        one = f"{URL}{rows[0]['id']}/"

        response = alice.request("DELETE", one)

        assert response.status_code == 409
        assert response.json()["error_code"] == "CONFLICT"
        assert alice.request("PATCH", one, json={"is_active": False}).json()["is_active"] is False


class TestList:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        made = make(api, cast)

        listed = api.as_(cast.alice).get(URL).json()["results"]

        assert listed[-1] == made or made in listed
        assert {row["scope"] for row in listed} == {"reasoning", "provider", "company"}

    @pytest.mark.parametrize(
        "query",
        ["scope=company", "period=total", "scope_value=gpt-4o", "is_hard=false", "is_active=false"],
    )
    def test_filters(self, api: Api, cast: Cast, query: str) -> None:
        make(api, cast)
        make(api, cast, scope="model", scope_value="gpt-4o", period="total", is_hard=False, is_active=False)
        every = api.as_(cast.alice).get(f"{URL}?page_size=100").json()["results"]
        name, value = query.split("=")

        found = api.as_(cast.alice).get(f"{URL}?{query}&page_size=100").json()["results"]

        wanted = {"false": False}.get(value, value)
        assert found == [row for row in every if row[name] == wanted]
        assert 0 < len(found) < len(every)

    def test_pages_and_orderings(self, api: Api, cast: Cast) -> None:
        for period in ("day", "month", "total"):
            make(api, cast, period=period)
        alice = api.as_(cast.alice)
        whole = alice.get(f"{URL}?page_size=100").json()["results"]

        two = alice.get(f"{URL}?page_size=2&page=2").json()
        assert (two["results"], two["count"]) == (whole[2:4], len(whole))
        url, found = f"{URL}?cursor=&page_size=3", []
        while url:
            answer = alice.get(url.removeprefix(api.url)).json()
            found += answer["results"]
            url = answer["next"]
        assert sorted(row["id"] for row in found) == [row["id"] for row in whole]
        for name in ("id", "scope", "period", "created_at"):
            up = [row[name] for row in alice.get(f"{URL}?ordering={name}&page_size=100").json()["results"]]
            down = [
                row[name] for row in alice.get(f"{URL}?ordering=-{name}&page_size=100").json()["results"]
            ]
            assert (up, down) == (sorted(up), sorted(up, reverse=True))

    def test_who_is_bound_to_a_brand_sees_its(self, api: Api, cast: Cast) -> None:
        other = Brand.objects.unscoped().create(company=cast.company, name="Other")
        own = make(api, cast, scope="brand", scope_value=str(cast.brand.pk))
        make(api, cast, scope="brand", scope_value=str(other.pk))
        company = make(api, cast)
        membership = Membership.objects.of(cast.company.pk).get(user=cast.bob.user)
        membership.role = "admin"
        membership.save()
        membership.brands.add(cast.brand)
        forget_callers()
        bob = api.as_(cast.bob)

        assert [row["id"] for row in bob.get(URL).json()["results"]] == [own["id"]]
        assert bob.get(f"{URL}{company['id']}/").status_code == 404
        assert bob.post(URL, {"period": "day", "limit": "1"}).status_code == 403
        assert bob.request("PATCH", f"{URL}{own['id']}/", json={"limit": "1"}).status_code == 200


class TestWindows:
    def test_it_works(self, api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
        """Spent, held, forgiven and left; older windows stay."""
        provider(completion(prompt=1000, output=1000))
        row = make(api, cast, limit="1")
        job = world.submit(cast.alice)
        loop.run(pipeline.run(job))
        waiting = world.submit(cast.alice, later=True)
        budget = Budget.objects.of(cast.company.pk).get(pk=row["id"])
        BudgetWindow.objects.create(budget=budget, starts_on="2026-01-01", spent=5, forgiven=2)
        spent = world.ledger(job)[0].charged_nano_usd
        held = next(hold[2] for hold in world.row(waiting).holds if hold[0] == budget.pk)

        current = api.as_(cast.alice).get(f"{URL}{row['id']}/").json()["current_sandbox"]
        windows = api.as_(cast.alice).get(f"{URL}{row['id']}/windows/").json()["results"]

        assert current == {
            "starts_on": current["starts_on"],
            "sandbox": True,
            "spent": money.exact(spent),
            "forgiven": "0.000000000",
            "used": money.exact(spent),
            "held": money.exact(held),
            "left": money.exact(10**9 - spent - held),
            "over": "0.000000000",
        }
        assert windows == [
            current,
            {
                "starts_on": "2026-01-01",
                "sandbox": False,
                "spent": "0.000000005",
                "forgiven": "0.000000002",
                "used": "0.000000003",
                "held": "0.000000000",
                "left": "0.999999997",
                "over": "0.000000000",
            },
        ]

    def test_pages(self, api: Api, cast: Cast) -> None:
        row = make(api, cast, period="day")
        for day in (1, 2, 3):
            BudgetWindow.objects.create(budget_id=row["id"], starts_on=f"2026-01-0{day}", spent=day)
        alice, path = api.as_(cast.alice), f"{URL}{row['id']}/windows/"

        pages = [alice.get(f"{path}?page_size=2&page={page}").json()["results"] for page in (1, 2)]
        cursors = alice.get(f"{path}?cursor=&page_size=3").json()["results"]

        days = [[window["starts_on"] for window in page] for page in (*pages, cursors)]
        assert days == [
            ["2026-01-03", "2026-01-02"],
            ["2026-01-01"],
            ["2026-01-03", "2026-01-02", "2026-01-01"],
        ]

    def test_a_limit_that_is_cut_while_a_job_runs(
        self, api: Api, cast: Cast, provider: Provider, rung: Rung
    ) -> None:
        """What runs is finished and charged; the cut tells how far beyond it is; the next is refused."""
        provider(completion(prompt=1000, output=50))
        row = make(api, cast, limit="1")
        job = world.submit(cast.alice, later=True, params={"max_tokens": 100})
        one = f"{URL}{row['id']}/"

        cut = api.as_(cast.alice).request("PATCH", one, json={"limit": "0.000001"})

        told = cut.json()["current_sandbox"]
        assert (cut.status_code, told["left"]) == (200, "0.000000000")
        held = next(hold[2] for hold in world.row(job).holds if hold[0] == row["id"])
        assert told["over"] == money.exact(held - 1000)
        refused = api.as_(cast.alice).post(CHAT, HELLO)
        assert (refused.status_code, refused.json()["error_code"]) == (403, "COST_LIMIT_EXCEEDED")
        assert refused.json()["daily_budget_remaining"] == "0.000000"
        assert refused.json()["budget"]["limit"] == "0.000001"
        loop.run(pipeline.work(job.pk))
        assert world.row(job).status == "completed"
        after = api.as_(cast.alice).get(one).json()["current_sandbox"]
        assert after["held"] == "0.000000000"
        assert after["spent"] == money.exact(world.ledger(job)[0].charged_nano_usd)
