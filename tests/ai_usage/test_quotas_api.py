"""``/ai/credentials/quota_status/`` and ``/ai/quotas/``: a provider's month, and what it refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from ai_core import pipeline
from ai_providers import services as providers
from ai_usage.domain.quotas import NO_LIMIT, Quota, Standing, default_limits
from ai_usage.models import Budget, BudgetWindow
from ai_usage.services import limits, quotas
from megahub.kernel import clock, loop, money
from megahub.tenancy.models import Company
from megahub.tenancy.selectors import forget_callers
from tests import world
from tests.conftest import Api
from tests.stubs import completion
from tests.world import Cast

STATUS = "/ai/credentials/quota_status/"
URL = "/ai/quotas/"
OWN = "sk-proj-own_key-0123456789"
CHAT = "/ai/openai/chat/"
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
FRESH = {
    "monthly_token_limit": 1_000_000,
    "monthly_cost_limit": "100.000000",
    "current_tokens_used": 0,
    "current_cost_used": "0.000000",
    "tokens_reserved": 0,
    "cost_reserved": "0.000000",
    "tokens_remaining": 1_000_000,
    "cost_remaining": "100.000000",
    "usage_percentage": 0.0,
    "is_near_limit": False,
    "is_exceeded": False,
}


def budgets(cast: Cast, provider: str = "openai") -> dict[str, Budget]:
    rows = Budget.objects.of(cast.company.pk).filter(scope="provider", scope_value=provider)
    return {row.unit: row for row in rows}


def status(api: Api, cast: Cast, query: str = "provider=openai") -> dict[str, Any]:
    response = api.as_(cast.alice).get(f"{STATUS}?{query}")
    assert response.status_code == 200, response.text
    return dict(response.json())


class TestStatus:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        month = quotas.month_of("UTC", clock.now())

        told = status(api, cast)

        projected = told.pop("projected")
        assert told == {
            "provider": "openai",
            "company": cast.company.name,
            "sandbox": True,
            "quota": FRESH,
            "period": {
                "start_date": month.starts_on.isoformat(),
                "end_date": month.ends_on.isoformat(),
                "days_remaining": month.days_remaining,
                "timezone": "UTC",
            },
        }
        assert set(projected) == {
            "monthly_tokens",
            "monthly_cost",
            "will_exceed_tokens",
            "will_exceed_cost",
        }

    def test_other_providers_begin_with_half(self, api: Api, cast: Cast) -> None:
        for name in ("infomaniak", "anthropic", "google"):
            quota = status(api, cast, f"provider={name}")["quota"]
            assert (quota["monthly_token_limit"], quota["monthly_cost_limit"]) == (500_000, "50.000000")

    def test_what_a_job_used(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion(prompt=700, output=300))
        loop.run(pipeline.run(world.submit(cast.alice)))

        quota = status(api, cast)["quota"]

        assert quota["current_tokens_used"] == 1000
        assert quota["tokens_remaining"] == 999_000
        assert quota["current_cost_used"] == "0.000285"
        assert quota["usage_percentage"] == 0.1
        assert status(api, cast, "provider=infomaniak")["quota"]["current_tokens_used"] == 0

    def test_what_a_running_job_holds_is_told_apart(self, api: Api, cast: Cast) -> None:
        world.submit(cast.alice, params={"max_tokens": 500})

        quota = status(api, cast)["quota"]

        assert quota["current_tokens_used"] == 0
        assert quota["tokens_reserved"] > 500
        assert quota["tokens_remaining"] == 1_000_000

    def test_played_and_real_are_never_added_up(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion(prompt=700, output=300))
        loop.run(pipeline.run(world.submit(cast.alice)))
        providers.store_keys(cast.company.pk, {"openai": OWN})
        loop.run(pipeline.run(world.submit(cast.alice)))
        loop.run(pipeline.run(world.submit(cast.alice)))

        real, played = status(api, cast), status(api, cast, "provider=openai&sandbox=true")

        assert (real["sandbox"], real["quota"]["current_tokens_used"]) == (False, 2000)
        assert (played["sandbox"], played["quota"]["current_tokens_used"]) == (True, 1000)

    def test_a_quota_that_begins_late_knows_the_month(self, api: Api, cast: Cast, provider: Any) -> None:
        """An installation that had no quotas yet: what the ledger says of the month counts."""
        provider(completion(prompt=700, output=300))
        loop.run(pipeline.run(world.submit(cast.alice)))
        for row in budgets(cast).values():
            row.delete()
        limits.forget()

        quota = status(api, cast)["quota"]

        assert (quota["current_tokens_used"], quota["current_cost_used"]) == (1000, "0.000285")

    def test_a_new_month_begins_by_itself(self, api: Api, cast: Cast) -> None:
        limits.provide_defaults(cast.company.pk)
        for row in budgets(cast).values():
            BudgetWindow.objects.create(budget=row, starts_on=date(2020, 1, 1), sandbox=True, spent=999_999)

        assert status(api, cast)["quota"] == FRESH

    def test_the_month_is_the_companys_own(self, api: Api, cast: Cast) -> None:
        Company.objects.filter(pk=cast.company.pk).update(timezone="Pacific/Kiritimati")
        forget_callers()

        period = status(api, cast)["period"]

        month = quotas.month_of("Pacific/Kiritimati", clock.now())
        assert period["timezone"] == "Pacific/Kiritimati"
        assert period["start_date"] == month.starts_on.isoformat()

    def test_strangers_see_their_own(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion(prompt=700, output=300))
        loop.run(pipeline.run(world.submit(cast.alice)))

        assert api.get(f"{STATUS}?provider=openai").status_code == 401
        assert api.as_(cast.charlie).get(f"{STATUS}?provider=openai").json()["quota"] == FRESH
        weak = cast.alice.api_key("inference")
        assert api.as_(weak).get(f"{STATUS}?provider=openai").status_code == 403

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("", "provider"),
            ("provider=", "provider"),
            ("provider=nobody", "provider"),
            ("provider=openai&sandbox=perhaps", "sandbox"),
            ("provider=openai&days=7", "days"),
        ],
    )
    def test_a_bad_query_is_refused_by_name(self, api: Api, cast: Cast, query: str, field: str) -> None:
        response = api.as_(cast.alice).get(f"{STATUS}?{query}")

        assert response.status_code == 400
        told = response.json()
        assert field in (told.get("field_errors") or told.get("invalid_params"))
        if field == "provider":
            assert set(told["suggestions"]) == {"openai", "infomaniak", "anthropic", "google"}


class TestLimits:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        month = quotas.month_of("UTC", clock.now())

        rows = api.as_(cast.bob).get(URL).json()

        assert [row["provider"] for row in rows] == ["openai", "infomaniak", "anthropic", "google"]
        start = month.starts_on.isoformat()
        assert rows[0] == {"provider": "openai", "sandbox": True, "last_reset_date": start, **FRESH}

    def test_played_and_real(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion(prompt=700, output=300))
        loop.run(pipeline.run(world.submit(cast.alice)))

        played, real = (
            api.as_(cast.bob).get(f"{URL}?sandbox={value}").json()[0] for value in ("true", "false")
        )

        assert (played["sandbox"], played["current_tokens_used"]) == (True, 1000)
        assert (real["sandbox"], real["current_tokens_used"]) == (False, 0)

    def test_a_new_limit_holds_at_once(self, api: Api, cast: Cast, provider: Any) -> None:
        scripted = provider(completion())
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 200

        response = api.as_(cast.alice).request(
            "PUT", URL, json={"provider": "openai", "monthly_token_limit": 50}
        )

        assert response.status_code == 200
        told = response.json()
        assert (told["monthly_token_limit"], told["monthly_cost_limit"]) == (50, "100.000000")
        refused = api.as_(cast.alice).post(CHAT, HELLO)
        assert refused.status_code == 403
        body = refused.json()
        requested = int(body.pop("requested"))
        # What would fit is of another provider, with a quota of its own.
        assert "gpt-4o-mini" not in body.pop("alternatives")
        assert body.pop("suggestions")
        assert requested > 100
        assert body == {
            "detail": "The openai quota of this company is used up.",
            "error": "The openai quota of this company is used up.",
            "error_code": "QUOTA_EXCEEDED",
            "provider": "openai",
            "current_usage": "15",
            "limit": "50",
            "remaining_quota": "35",
            "unit": "tokens",
            "period": "month",
            "scope": "provider",
        }
        assert len(scripted.calls) == 1

    def test_a_limit_of_cost(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion())
        changed = {"provider": "openai", "monthly_cost_limit": "0.000001"}
        assert api.as_(cast.alice).request("PUT", URL, json=changed).status_code == 200

        refused = api.as_(cast.alice).post(CHAT, HELLO).json()

        assert (refused["error_code"], refused["unit"]) == ("QUOTA_EXCEEDED", "nano_usd")
        assert (refused["limit"], refused["current_usage"]) == ("0.000001", "0.000000")

    def test_null_lifts_a_limit_and_goes_on_counting(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion(prompt=700, output=300))
        lifted = {"provider": "openai", "monthly_token_limit": None, "monthly_cost_limit": None}

        told = api.as_(cast.alice).request("PUT", URL, json=lifted).json()

        assert (told["monthly_token_limit"], told["cost_remaining"], told["usage_percentage"]) == (
            None,
            None,
            None,
        )
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 200
        counted = status(api, cast)
        assert counted["quota"]["current_tokens_used"] == 1000
        assert counted["projected"]["will_exceed_tokens"] is False
        assert budgets(cast)["tokens"].limit == NO_LIMIT
        again = {"provider": "openai", "monthly_token_limit": 999}
        assert api.as_(cast.alice).request("PUT", URL, json=again).json()["is_exceeded"] is True
        assert api.as_(cast.alice).post(CHAT, HELLO).json()["error_code"] == "QUOTA_EXCEEDED"

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({}, "provider"),
            ({"provider": "nobody"}, "provider"),
            ({"monthly_token_limit": -1}, "monthly_token_limit"),
            ({"monthly_token_limit": 1.5}, "monthly_token_limit"),
            ({"monthly_token_limit": "lots"}, "monthly_token_limit"),
            ({"monthly_token_limit": 10**30}, "monthly_token_limit"),
            ({"monthly_cost_limit": "-0.01"}, "monthly_cost_limit"),
            ({"monthly_cost_limit": "NaN"}, "monthly_cost_limit"),
            ({"monthly_cost_limit": "1e12"}, "monthly_cost_limit"),
            ({"monthly_cost_limit": "100 CHF"}, "monthly_cost_limit"),
            ({"monthly_cost_limit": True}, "monthly_cost_limit"),
        ],
    )
    def test_bad_input_changes_nothing(
        self, api: Api, cast: Cast, changed: dict[str, Any], field: str
    ) -> None:
        body = {"provider": "openai", **changed} if changed else {}
        response = api.as_(cast.alice).request("PUT", URL, json=body)

        assert response.status_code == 400
        assert set(response.json()["field_errors"]) == {field}
        assert status(api, cast)["quota"] == FRESH

    def test_unknown_fields_and_filters(self, api: Api, cast: Cast) -> None:
        body = {"provider": "openai", "current_tokens_used": 0}
        response = api.as_(cast.alice).request("PUT", URL, json=body)

        assert (response.status_code, response.json()["invalid_params"]) == (400, ["current_tokens_used"])
        assert api.as_(cast.alice).get(f"{URL}?provider=openai").status_code == 400

    def test_only_those_who_manage_change_them(self, api: Api, cast: Cast) -> None:
        body = {"provider": "openai", "monthly_token_limit": 5}

        assert api.request("PUT", URL, json=body).status_code == 401
        assert api.as_(cast.bob).request("PUT", URL, json=body).status_code == 403
        assert api.as_(cast.charlie).request("PUT", URL, json=body).status_code == 200
        assert status(api, cast)["quota"] == FRESH


class TestReset:
    def test_it_forgives_and_forgets_nothing(self, api: Api, cast: Cast, provider: Any) -> None:
        provider(completion(prompt=700, output=300))
        quotas.set_limits(cast.company.pk, "openai", {"tokens": 1050})
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 200
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 403

        assert quotas.reset(cast.company.pk, "openai", "UTC") == 2

        assert status(api, cast)["quota"]["current_tokens_used"] == 0
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 200
        window = BudgetWindow.objects.get(budget=budgets(cast)["tokens"])
        assert (window.spent, window.forgiven, window.reserved) == (2000, 1000, 0)
        refused = api.as_(cast.alice).post(CHAT, HELLO).json()
        assert (refused["current_usage"], refused["remaining_quota"]) == ("1000", "50")
        assert quotas.reset(cast.charlie.company.pk, "openai", "UTC") == 0

    def test_whoever_looks_at_a_window_sees_it(self, api: Api, cast: Cast, provider: Any) -> None:
        """Dry runs, forecasts and alerts must say what a job would be told."""
        provider(completion(prompt=700, output=300))
        quotas.set_limits(cast.company.pk, "openai", {"tokens": 1050})
        assert api.as_(cast.alice).post(CHAT, HELLO).status_code == 200
        quotas.set_limits(cast.company.pk, "openai", {"tokens": 1000})  # all of it is used up now

        quotas.reset(cast.company.pk, "openai", "UTC")

        alice = api.as_(cast.alice)
        dry = alice.post("/ai/jobs/validate/", {"job_type": "chat_completion", "input_data": HELLO}).json()
        tokens = next(room for room in dry["budgets"] if room["unit"] == "tokens")
        assert (tokens["spent"], tokens["remaining"]) == (0, 1000)
        outlook = alice.get("/ai/usage/forecast/").json()["budgets"]
        own = next(row for row in outlook if row["id"] == budgets(cast)["tokens"].pk)
        assert own["days_until_exhausted"] != 0
        check = alice.post("/ai/alerts/check_alerts/", {}).json()
        assert not [each for each in check["new_alerts"] if each["type"].startswith("quota")]


class TestArithmetic:
    """Without a database."""

    def test_defaults(self) -> None:
        assert default_limits("openai") == {"tokens": 1_000_000, "nano_usd": 100_000_000_000}
        assert default_limits("google") == {"tokens": 500_000, "nano_usd": 50_000_000_000}
        assert default_limits("google", 7)["tokens"] == 7

    @pytest.mark.parametrize(
        ("used", "percent", "near", "exceeded"),
        [
            (0, 0.0, False, False),
            (80, 80.0, False, False),
            (81, 81.0, True, False),
            (100, 100.0, True, False),
            (101, 101.0, True, True),
        ],
    )
    def test_thresholds(self, used: int, percent: float, near: bool, exceeded: bool) -> None:
        quota = Quota("openai", Standing(100, used), Standing(10**9, 0), False)

        assert (quota.percent, quota.is_near, quota.is_exceeded) == (percent, near, exceeded)

    def test_a_limit_of_nothing_is_used_up(self) -> None:
        assert Standing(0).percent == 100.0
        assert not Standing(0).is_exceeded
        assert Standing(0, 1).is_exceeded

    def test_forgiveness(self) -> None:
        standing = Standing(100, counted=150, forgiven=120)

        assert (standing.used, standing.remaining, standing.percent) == (30, 70, 30.0)
        assert standing.will_exceed(220) is False
        assert standing.will_exceed(221) is True
        # Repriced afterwards to less than what was forgiven.
        assert Standing(100, counted=100, forgiven=120).used == 0

    def test_projection(self) -> None:
        month = quotas.month_of("UTC", datetime(2026, 11, 11, tzinfo=UTC))

        assert (month.starts_on, month.ends_on, month.days_remaining) == (
            date(2026, 11, 1),
            date(2026, 11, 30),
            19,
        )
        assert month.project(1000, datetime(2026, 11, 11, tzinfo=UTC)) == 3000
        assert month.project(1000, datetime(2026, 11, 1, 23, 59, tzinfo=UTC)) is None
        assert month.project(0, datetime(2026, 11, 2, tzinfo=UTC)) == 0

    def test_what_cannot_be_told_is_null(self) -> None:
        assert Standing(100, 50).will_exceed(None) is None
        assert Standing(100, 101).will_exceed(None) is True
        assert Standing(None, 50).will_exceed(10**12) is False

    @pytest.mark.parametrize(
        ("zone", "moment", "first", "last", "left"),
        [
            ("Europe/Zurich", datetime(2026, 10, 31, 23, 30, tzinfo=UTC), (11, 1), (11, 30), 29),
            ("UTC", datetime(2026, 10, 31, 23, 30, tzinfo=UTC), (10, 1), (10, 31), 0),
            ("America/New_York", datetime(2026, 3, 1, 4, 0, tzinfo=UTC), (2, 1), (2, 28), 0),
        ],
    )
    def test_months(
        self, zone: str, moment: datetime, first: tuple[int, int], last: tuple[int, int], left: int
    ) -> None:
        month = quotas.month_of(zone, moment)

        assert (month.starts_on, month.ends_on) == (date(2026, *first), date(2026, *last))
        assert month.days_remaining == left

    def test_the_money_of_the_defaults(self) -> None:
        assert money.show(default_limits("openai")["nano_usd"]) == "100.000000"
