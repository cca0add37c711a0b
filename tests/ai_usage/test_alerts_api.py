"""``/ai/alerts/``: found, told once, resolved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPException
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_usage.models import AIUsageAlert, AlertRule, Budget, BudgetWindow, LedgerEntry
from ai_usage.services import alert_mail, evaluation, figures
from megahub.delivery.models import Mail, Outbox, WebhookEndpoint
from megahub.delivery.services import endpoints, mails
from megahub.kernel import cache, clock, loop, money
from megahub.tenancy.models import Company
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast, Person

URL = "/ai/alerts/"
CHECK = "/ai/alerts/check_alerts/"
EVENTS = ["alert.created", "budget.threshold"]


def alerts(cast: Cast) -> list[AIUsageAlert]:
    return list(AIUsageAlert.objects.of(cast.company.pk).order_by("id"))


def spend(budget: Budget, usd: str, *, sandbox: bool = False) -> None:
    start = clock.window_start(budget.period, clock.now(), budget.company.timezone)
    BudgetWindow.objects.update_or_create(
        budget=budget, starts_on=start, sandbox=sandbox, defaults={"spent": money.to_nano(Decimal(usd))}
    )


def listen(person: Person) -> None:
    """An endpoint that wants alerts; nothing is ever sent to it here."""
    endpoint = WebhookEndpoint(company=person.company, url="https://a.example.com/", events=EVENTS)
    endpoint.sealed_secret = endpoint.seal("whsec_" + "A" * 43 + "=")
    endpoint.save()
    cache.forget_everything()


def told(cast: Cast) -> list[tuple[str, dict[str, Any]]]:
    rows = Outbox.objects.of(cast.company.pk).order_by("id")
    return [(row.event_type, row.data) for row in rows]


def check(api: Api, person: Person) -> dict[str, Any]:
    response = api.as_(person).post(CHECK)
    assert response.status_code == 200, response.text
    return dict(response.json())


class TestCheck:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="100")
        spend(budget, "83.25")
        listen(cast.alice)

        answer = check(api, cast.bob)

        (alert,) = alerts(cast)
        used = "83.250000 USD of 100.000000 USD used, 83.3 %."
        short = {
            "id": alert.pk,
            "type": "cost_warning",
            "provider": "",
            "message": f"Budget {budget.pk} (company, month): {used}",
            "severity": "warning",
            "created_at": clock.iso(alert.created_at),
        }
        assert answer == {
            "checks_performed": [
                "quota_warning", "quota_critical", "quota_exceeded", "cost_warning", "cost_exceeded",
                "daily_spike", "high_failure_rate", "slow_execution", "high_cost_deviation",
                "unusual_usage", "webhook_disabled",
            ],
            "new_alerts_created": 1,
            "new_alerts_count": 1,
            "alerts": [short],
            "new_alerts": [short],
            "notifications_sent": 0,
        }  # fmt: skip
        assert (alert.threshold_value, alert.current_value) == (Decimal("0.8"), Decimal("0.8325"))
        (created, threshold) = told(cast)
        assert created[0] == "alert.created"
        assert (created[1]["id"], created[1]["alert_type"]) == (alert.pk, "cost_warning")
        assert threshold == (
            "budget.threshold",
            {
                "budget": {
                    "id": budget.pk,
                    "scope": "company",
                    "scope_value": "",
                    "period": "month",
                    "unit": "nano_usd",
                },
                "alert_type": "cost_warning",
                "severity": "warning",
                "message": short["message"],
                "threshold": "0.8",
                "used": "0.832500",
                "spent": "83.250000 USD",
                "limit": "100.000000 USD",
                "window_start": str(clock.window_start("month", clock.now(), "UTC")),
                "sandbox": False,
                "alert_id": alert.pk,
            },
        )

    def test_once_however_often_it_is_checked(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="100")
        spend(budget, "85")
        listen(cast.alice)
        assert check(api, cast.alice)["new_alerts_count"] == 1
        for usd in ("85", "86", "94"):
            spend(budget, usd)
            assert check(api, cast.alice)["new_alerts_count"] == 0
            evaluation.check_or_tell(cast.company)
        spend(budget, "101")
        assert check(api, cast.alice)["new_alerts_count"] == 1
        assert check(api, cast.alice)["new_alerts_count"] == 0

        assert [row.alert_type for row in alerts(cast)] == ["cost_warning", "cost_exceeded"]
        assert [event for event, _ in told(cast)] == ["alert.created", "budget.threshold"] * 2

    def test_resolved_by_hand_it_is_not_raised_again(self, api: Api, cast: Cast) -> None:
        spend(world.make_budget(cast.company, usd="100"), "85")
        check(api, cast.alice)
        api.as_(cast.bob).request("PUT", f"{URL}{alerts(cast)[0].pk}/resolve/", json={})

        assert check(api, cast.alice)["new_alerts_count"] == 0
        assert [row.is_resolved for row in alerts(cast)] == [True]

    def test_it_is_resolved_when_the_cause_is_gone(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="100")
        spend(budget, "101")
        check(api, cast.alice)
        Budget.objects.of(cast.company.pk).filter(pk=budget.pk).update(limit=money.to_nano(Decimal(200)))

        assert check(api, cast.alice)["alerts"] == []

        (alert,) = alerts(cast)
        assert (alert.is_resolved, alert.resolution_note) == (True, "The cause is gone.")
        assert alert.resolved_at is not None

    def test_a_new_window_is_a_new_alert(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="100")
        spend(budget, "85")
        check(api, cast.alice)
        last = clock.now().date().replace(day=1) - timedelta(days=20)
        AIUsageAlert.objects.of(cast.company.pk).update(window_start=last.replace(day=1))

        assert check(api, cast.alice)["new_alerts_count"] == 1
        assert [row.is_resolved for row in alerts(cast)] == [True, False]

    def test_the_sandboxs_window_is_apart(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="100")
        spend(budget, "50")
        spend(budget, "60", sandbox=True)
        assert check(api, cast.alice)["new_alerts_count"] == 0
        spend(budget, "90", sandbox=True)

        check(api, cast.alice)

        assert [(row.alert_type, row.sandbox) for row in alerts(cast)] == [("cost_warning", True)]

    def test_jobs_that_fail(self, api: Api, cast: Cast, provider: Callable[..., Scripted]) -> None:
        provider(completion())
        for _ in range(9):
            loop.run(pipeline.run(world.submit(cast.alice)))
        provider(ValueError("no such thing"))
        assert check(api, cast.alice)["new_alerts_count"] == 0
        loop.run(pipeline.finish(world.submit(cast.alice)))

        check(api, cast.alice)

        (alert,) = alerts(cast)
        assert (alert.alert_type, alert.provider_name, alert.sandbox) == (
            "high_failure_rate",
            "openai",
            True,
        )
        assert (alert.current_value, alert.message) == (
            Decimal("0.1"),
            "1 of 10 jobs of openai failed today (10 %).",
        )
        french = api.as_(cast.alice, Accept_Language="fr").get(f"{URL}{alert.pk}/").json()["message"]
        assert french == "1 des 10 jobs de openai ont échoué aujourd'hui (10 %)."

    def test_a_day_against_the_week_before(self, api: Api, cast: Cast) -> None:
        now = clock.now()
        for days, number, usd in ((1, 4, 1), (2, 4, 1), (3, 4, 1), (0, 20, 1)):
            put_jobs(cast, number, usd, now - timedelta(days=days))
        past = figures.figures_of({cast.company.pk: "UTC"}, now)[cast.company.pk]
        assert (past.active_days, sum(line.jobs for line in past.before)) == ((3, 0), 12)

        check(api, cast.alice)

        assert sorted(row.alert_type for row in alerts(cast)) == ["daily_spike", "unusual_usage"]

    def test_another_company_sees_nothing_of_it(self, api: Api, cast: Cast) -> None:
        spend(world.make_budget(cast.company, usd="100"), "101")

        assert check(api, cast.charlie)["new_alerts"] == []
        assert check(api, cast.alice)["new_alerts_count"] == 1
        assert check(api, cast.charlie)["alerts"] == []

    def test_switched_off(self, api: Api, cast: Cast, settings: Any) -> None:
        settings.AI_ENABLE_ALERTING = False
        spend(world.make_budget(cast.company, usd="100"), "101")

        assert check(api, cast.alice)["checks_performed"] == []
        assert evaluation.check_all() == 0
        assert alerts(cast) == []

    @pytest.mark.parametrize("number", [1, 7])
    def test_it_asks_little_of_however_many(self, cast: Cast, alone: None, number: int) -> None:
        """Companies (the first), windows, how far the rollups are, days, rules, webhooks, what is open."""
        spend(world.make_budget(cast.company, usd="100"), "50")
        for each in range(number - 1):
            zone = ("Pacific/Kiritimati", "Pacific/Niue", "Europe/Zurich")[each % 3]
            name = f"many-{number}-{cast.company.pk}-{each}"
            other = Company.objects.create(name=name, slug=name, timezone=zone)
            spend(world.make_budget(other, usd="100"), "70")
        evaluation.check_all()

        with CaptureQueriesContext(connection) as queries:
            assert evaluation.check_all() == 0

        assert len(queries) == 7, [each["sql"] for each in queries]

    def test_many_are_checked_as_each_alone_is(self, cast: Cast, alone: None) -> None:
        """In zones whose days differ, with rules of their own, in several goes."""
        now, others = clock.now(), []
        for zone in ("Pacific/Kiritimati", "Pacific/Niue", "UTC"):
            name = f"zone-{cast.company.pk}-{zone[-4:]}".lower()
            other = Company.objects.create(name=name, slug=name, timezone=zone)
            for period, usd in (("day", "96"), ("month", "50")):
                spend(world.make_budget(other, usd="100", period=period), usd)
            others.append(other)
        AlertRule.objects.unscoped().create(company=others[0], alert_type="cost_warning", threshold="0.97")
        AlertRule.objects.unscoped().create(
            company=others[1], alert_type="cost_warning", threshold="0.1", is_active=False
        )
        spend(world.make_budget(cast.company, usd="100"), "101")

        one_by_one = [evaluation.look([company])[0] for company in others]
        assert evaluation.look(others) == one_by_one
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(evaluation, "AT_ONCE", 2)
            raised = evaluation.check_all()

        assert raised == 2
        assert [row.alert_type for row in alerts(cast)] == ["cost_exceeded"]
        rows = AIUsageAlert.objects.unscoped().filter(company__in=others)
        day = clock.window_start("day", now, "UTC")
        found = [(row.company_id, row.alert_type, row.window_start) for row in rows]
        assert found == [(others[2].pk, "cost_warning", day)]


def put_jobs(cast: Cast, number: int, usd: int, moment: Any) -> None:
    """Jobs that ended at ``moment``, straight into the ledger."""
    job = world.row(world.submit(cast.alice, later=True))
    for _ in range(number):
        job.pk, job.job_id = None, f"{job.job_id[:20]}{next(world_numbers)}"
        job.status, job.completed_at = "completed", moment
        job.save(force_insert=True)
        LedgerEntry.objects.unscoped().create(
            company=cast.company,
            brand_id=cast.brand.pk,
            job_id=job.pk,
            job_ref=job.job_id,
            attempt_no=1,
            kind="settle",
            provider="openai",
            model="gpt-4o-mini",
            generation="legacy",
            is_success=True,
            cost_nano_usd=usd * 10**9,
            cost_input_nano_usd=0,
            created_at=moment,
        )


world_numbers = iter(range(10**6))


class TestFailureOfTheEvaluator:
    def test_it_is_an_alert_and_heals(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*args: Any) -> Any:
            raise RuntimeError("a secret inside")

        with monkeypatch.context() as patched:
            patched.setattr(evaluation, "figures_of", broken)
            answer = check(api, cast.alice)
            assert check(api, cast.alice)["new_alerts_count"] == 0

        assert [each["type"] for each in answer["new_alerts"]] == ["evaluator_failed"]
        (alert,) = alerts(cast)
        assert (alert.severity, alert.message) == (
            "critical",
            "The alerts could not be checked: RuntimeError.",
        )
        assert f"the alerts of company {cast.company.pk} could not be checked" in caplog.text
        assert check(api, cast.alice)["alerts"] == []

    @pytest.mark.usefixtures("alone")
    def test_one_company_does_not_stop_the_others(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spend(world.make_budget(cast.company, usd="100"), "101")
        real = figures.figures_of

        def broken(zones: dict[int, str], *args: Any) -> Any:
            if set(zones) != {cast.company.pk}:
                raise RuntimeError("not theirs")
            return real(zones, *args)

        monkeypatch.setattr(evaluation, "figures_of", broken)
        evaluation.check_all()

        assert [row.alert_type for row in alerts(cast)] == ["cost_exceeded"]

    def test_nor_one_of_which_something_is_found(
        self, cast: Cast, alone: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for company in (cast.company, cast.charlie.company):
            spend(world.make_budget(company, usd="100"), "101")
        real = evaluation.findings

        def broken(seen: Any, thresholds: Any) -> Any:
            if seen.budgets[0].id == Budget.objects.of(cast.charlie.company.pk).get().pk:
                raise RuntimeError("not theirs")
            return real(seen, thresholds)

        monkeypatch.setattr(evaluation, "findings", broken)

        assert evaluation.check_all() == 2
        assert [row.alert_type for row in alerts(cast)] == ["cost_exceeded"]
        (row,) = AIUsageAlert.objects.of(cast.charlie.company.pk)
        assert row.alert_type == "evaluator_failed"


class TestMail:
    @pytest.fixture(autouse=True)
    def addresses(self, cast: Cast) -> None:
        for person in (cast.alice, cast.bob, cast.charlie):
            person.user.email = f"{person.user.username}@example.com"
            person.user.save(update_fields=["email"])

    @staticmethod
    def sent(cast: Cast) -> list[Any]:
        """What beat sends of the company's."""
        Mail.objects.unscoped().exclude(company=cast.company).update(state="sent")  # other tests'
        mail.outbox.clear()
        mails.send_due()
        return sorted(mail.outbox, key=lambda each: each.to)

    def test_it_is_sent_once(self, api: Api, cast: Cast, settings: Any) -> None:
        settings.AI_ALERT_EMAIL = ["ops@example.com"]
        spend(world.make_budget(cast.company, usd="100"), "101")

        assert check(api, cast.alice)["notifications_sent"] == 1
        assert check(api, cast.alice)["notifications_sent"] == 0
        assert alert_mail.write_waiting(cast.company.pk) == 0

        message, other = self.sent(cast)
        assert (message.to, other.to) == ([cast.alice.user.email], ["ops@example.com"])
        assert (message.subject, message.body) == (other.subject, other.body)
        assert message.subject == f"[MEGAHUB] Critical: Budget used up ({cast.company.name})"
        assert "101.000000 USD of 100.000000 USD used" in message.body
        (alert,) = alerts(cast)
        assert (alert.email_sent, alert.email_sent_at is not None) == (True, True)

    def test_it_is_in_the_readers_language(self, api: Api, cast: Cast, settings: Any) -> None:
        """The company's, unless a person has one; the hub's own address hears it in the company's."""
        settings.AI_ALERT_EMAIL = ["ops@example.com"]
        cast.company.language = "fr"
        cast.company.save(update_fields=["language"])
        cast.bob.user.language = "en"
        cast.bob.user.save(update_fields=["language"])
        world.Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).update(
            role=world.Role.ADMIN
        )
        spend(world.make_budget(cast.company, usd="100"), "101")

        assert check(api, cast.alice)["notifications_sent"] == 1

        french, english, hubs = self.sent(cast)
        assert (french.to, hubs.to) == ([cast.alice.user.email], ["ops@example.com"])
        assert french.body == hubs.body
        assert french.subject == f"[MEGAHUB] Critique: Budget épuisé ({cast.company.name})"
        assert f"Société : {cast.company.name}" in french.body
        assert "101.000000 USD utilisés sur 100.000000 USD" in french.body
        assert english.to == [cast.bob.user.email]
        assert "101.000000 USD of 100.000000 USD used" in english.body

    def test_an_address_hears_it_once(self, api: Api, cast: Cast, settings: Any) -> None:
        """In its person's own language, although the hub's list names it too."""
        cast.alice.user.language = "fr"
        cast.alice.user.save(update_fields=["language"])
        settings.AI_ALERT_EMAIL = [cast.alice.user.email]
        spend(world.make_budget(cast.company, usd="100"), "101")

        check(api, cast.alice)

        (message,) = self.sent(cast)
        assert message.to == [cast.alice.user.email]
        assert message.subject.startswith("[MEGAHUB] Critique")

    def test_an_address_that_is_refused_is_tried_again_alone(
        self, api: Api, cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.AI_ALERT_EMAIL = ["ops@example.com"]
        spend(world.make_budget(cast.company, usd="100"), "101")
        real = mails.EmailMessage.send

        def refuse(self: Any) -> int:
            if self.to == ["ops@example.com"]:
                raise SMTPException("not now")
            return int(real(self))

        with monkeypatch.context() as patched:
            patched.setattr(mails.EmailMessage, "send", refuse)
            assert check(api, cast.alice)["notifications_sent"] == 1
            assert [each.to for each in self.sent(cast)] == [[cast.alice.user.email]]
        Mail.objects.of(cast.company.pk).filter(state="pending").update(next_at=clock.now())

        assert check(api, cast.alice)["notifications_sent"] == 0
        assert [each.to for each in self.sent(cast)] == [["ops@example.com"]]
        assert self.sent(cast) == []

    def test_nobody_to_tell(self, api: Api, cast: Cast) -> None:
        cast.alice.user.email = ""
        cast.alice.user.save(update_fields=["email"])
        spend(world.make_budget(cast.company, usd="100"), "101")

        assert check(api, cast.alice)["notifications_sent"] == 0
        assert self.sent(cast) == []

    def test_a_line_break_in_a_companys_name(self, api: Api, cast: Cast) -> None:
        cast.company.name = f"Bad\r\nBcc: victim@example.com {cast.company.pk}"
        cast.company.save(update_fields=["name"])
        spend(world.make_budget(cast.company, usd="100"), "101")

        assert check(api, cast.alice)["notifications_sent"] == 1
        assert "\n" not in self.sent(cast)[0].subject


class TestWebhookDisabled:
    def test_it_is_an_alert_until_it_is_on_again(self, api: Api, cast: Cast) -> None:
        listen(cast.alice)
        endpoint = WebhookEndpoint.objects.of(cast.company.pk).get()
        rows = WebhookEndpoint.objects.of(cast.company.pk)
        rows.update(is_active=False, disabled_at=clock.now(), disabled_reason="failing")

        (alert,) = check(api, cast.alice)["new_alerts"]
        assert (
            alert["message"] == "Webhook https://a.example.com/ failed for three days and was switched off."
        )
        assert check(api, cast.alice)["new_alerts"] == []
        endpoint.refresh_from_db()
        endpoints.change(endpoint, {"is_active": True})
        assert check(api, cast.alice)["alerts"] == []


class TestList:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        budget = world.make_budget(cast.company, usd="100")
        spend(budget, "83.25")
        check(api, cast.alice)
        (row,) = alerts(cast)

        answer = api.as_(cast.alice).get(URL).json()

        assert (answer["count"], answer["next"], answer["previous"]) == (1, None, None)
        assert answer["results"] == [
            {
                "id": row.pk,
                "company": cast.company.pk,
                "company_name": cast.company.name,
                "provider_name": "",
                "alert_type": "cost_warning",
                "subject": f"budget:{budget.pk}",
                "window_start": str(row.window_start),
                "threshold_value": "0.800000",
                "current_value": "0.832500",
                "message": row.message,
                "severity": "warning",
                "sandbox": False,
                "is_resolved": False,
                "resolved_at": None,
                "resolution_note": "",
                "email_sent": False,
                "email_sent_at": None,
                "created_at": clock.iso(row.created_at),
            }
        ]
        assert api.as_(cast.alice).get(f"{URL}{row.pk}/").json() == answer["results"][0]

    def test_filters(self, api: Api, cast: Cast) -> None:
        spend(world.make_budget(cast.company, usd="100"), "85")
        check(api, cast.alice)
        api.as_(cast.alice).post(URL, {"message": "Look.", "severity": "info", "provider_name": "openai"})

        def count(query: str) -> int:
            return int(api.as_(cast.alice).get(f"{URL}?{query}").json()["count"])

        assert count("alert_type=manual") == count("severity=warning") == count("provider_name=openai") == 1
        assert (count("is_resolved=true"), count("is_resolved=false"), count("sandbox=true")) == (0, 2, 0)
        assert (count("created_at__gte=2000-01-01T00:00:00Z"), count("created_at__lte=2000-01-01")) == (
            2,
            0,
        )

    @pytest.mark.parametrize(
        "query",
        [
            "alert_type=lost",
            "severity=5",
            "is_resolved=perhaps",
            "created_at__gte=x",
            "colour=red",
            "ordering=x",
        ],
    )
    def test_bad_filters(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(f"{URL}?{query}")

        assert response.status_code == 400
        assert query.partition("=")[0] in response.text

    def test_active(self, api: Api, cast: Cast) -> None:
        spend(world.make_budget(cast.company, usd="100"), "85")
        spend(world.make_budget(cast.company, usd="10", scope="provider", scope_value="openai"), "9.6")
        check(api, cast.alice)
        manual = api.as_(cast.alice).post(URL, {"message": "Look."}).json()
        api.as_(cast.alice).post(f"{URL}{manual['id']}/resolve/", {})

        answer = api.as_(cast.bob).get(f"{URL}active/").json()

        assert answer["count"] == 2
        assert answer["summary"] == {"quota_warnings": 1, "cost_warnings": 1, "failure_alerts": 0}
        shown = {(each["type"], each["provider"]) for each in answer["alerts"]}
        assert shown == {("quota_critical", "openai"), ("cost_warning", "")}


class TestManual:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        listen(cast.alice)
        body = {
            "message": "Look at this.",
            "severity": "critical",
            "threshold_value": "5",
            "current_value": 7,
        }

        response = api.as_(cast.bob).post(URL, body)

        assert response.status_code == 201
        (row,) = alerts(cast)
        answer = response.json()
        assert (answer["id"], answer["alert_type"], answer["message"]) == (
            row.pk,
            "manual",
            "Look at this.",
        )
        assert (answer["threshold_value"], answer["current_value"]) == ("5.000000", "7.000000")
        assert [event for event, _ in told(cast)] == ["alert.created"]
        assert api.as_(cast.bob).post(URL, body).status_code == 201
        assert check(api, cast.alice)["new_alerts"] == []
        assert [each.is_resolved for each in alerts(cast)] == [False, False]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"message": ""}, "message"), ({"message": None}, "message"),
            ({"message": "x" * 2001}, "message"),
            ({"severity": "fatal"}, "severity"), ({"alert_type": "cost_warning"}, "alert_type"),
            ({"current_value": "much"}, "current_value"), ({"threshold_value": "1e400"}, "threshold_value"),
            ({"provider_name": "x" * 41}, "provider_name"), ({"is_resolved": True}, "is_resolved"),
            ({"company": 1}, "company"),
        ],
    )  # fmt: skip
    def test_bad_input(self, api: Api, cast: Cast, changes: dict[str, Any], field: str) -> None:
        response = api.as_(cast.alice).post(URL, {"message": "Look.", **changes})

        assert response.status_code == 400
        told = response.json()
        assert told.get("invalid_params", list(told.get("field_errors", ()))) == [field]
        assert alerts(cast) == []


class TestResolve:
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_it_works(self, api: Api, cast: Cast, method: str) -> None:
        number = api.as_(cast.alice).post(URL, {"message": "Look."}).json()["id"]

        answer = api.as_(cast.bob).request(
            method, f"{URL}{number}/resolve/", json={"resolution_note": "Seen."}
        )

        (row,) = alerts(cast)
        assert answer.status_code == 200
        assert answer.json() == {
            "message": "Alert resolved successfully",
            "alert": {"id": number, "is_resolved": True, "resolved_at": clock.iso(row.resolved_at)},
        }
        assert row.resolution_note == "Seen."
        again = api.as_(cast.bob).request(
            method, f"{URL}{number}/resolve/", json={"resolution_note": "No."}
        )
        assert again.json() == answer.json()
        assert alerts(cast)[0].resolution_note == "Seen."

    def test_no_body_is_no_note(self, api: Api, cast: Cast) -> None:
        number = api.as_(cast.alice).post(URL, {"message": "Look."}).json()["id"]

        assert api.as_(cast.alice).request("PUT", f"{URL}{number}/resolve/").status_code == 200


class TestRules:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        listed = api.as_(cast.bob).get(f"{URL}rules/").json()
        assert listed[0] == {
            "alert_type": "quota_warning",
            "threshold": "0.800000",
            "default": "0.800000",
            "is_active": True,
            "is_own": False,
        }
        assert len(listed) == 10
        spend(world.make_budget(cast.company, usd="100"), "60")
        assert check(api, cast.alice)["new_alerts"] == []

        changed = api.as_(cast.alice).request("PUT", f"{URL}rules/cost_warning/", json={"threshold": "0.5"})

        assert changed.json() == {
            "alert_type": "cost_warning",
            "threshold": "0.500000",
            "default": "0.800000",
            "is_active": True,
            "is_own": True,
        }
        assert check(api, cast.alice)["new_alerts_count"] == 1
        assert check(api, cast.charlie)["new_alerts_count"] == 0
        off = api.as_(cast.alice).request("PATCH", f"{URL}rules/cost_warning/", json={"is_active": False})
        assert (off.json()["threshold"], off.json()["is_active"]) == ("0.500000", False)
        assert check(api, cast.alice)["alerts"] == []
        reset = api.as_(cast.alice).request("DELETE", f"{URL}rules/cost_warning/")
        assert (reset.status_code, reset.json()["threshold"]) == (200, "0.800000")
        assert list(AlertRule.objects.of(cast.company.pk)) == []

    @pytest.mark.parametrize(
        "body", [{"threshold": 0}, {"threshold": "-1"}, {"threshold": "x"}, {"limit": 1}]
    )
    def test_bad_input(self, api: Api, cast: Cast, body: dict[str, Any]) -> None:
        response = api.as_(cast.alice).request("PUT", f"{URL}rules/cost_warning/", json=body)

        told = response.json()
        assert response.status_code == 400
        assert told.get("invalid_params", list(told.get("field_errors", ()))) == list(body)
        assert list(AlertRule.objects.of(cast.company.pk)) == []

    def test_what_has_no_threshold(self, api: Api, cast: Cast) -> None:
        for name in ("manual", "lost"):
            found = api.as_(cast.alice).request("PUT", f"{URL}rules/{name}/", json={"threshold": "1"})
            assert found.status_code == 404

    def test_members_do_not_change_them(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.bob).request("PUT", f"{URL}rules/cost_warning/", json={"threshold": "1"})

        assert (response.status_code, response.json()["error_code"]) == (403, "SCOPE_MISSING")
        assert list(AlertRule.objects.of(cast.company.pk)) == []


class TestWho:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""), ("POST", ""), ("GET", "{}/"), ("PUT", "{}/resolve/"), ("POST", "{}/resolve/"),
            ("GET", "active/"), ("POST", "check_alerts/"), ("GET", "rules/"),
        ],
    )  # fmt: skip
    def test_strangers_and_viewers(self, api: Api, cast: Cast, method: str, path: str) -> None:
        number = api.as_(cast.alice).post(URL, {"message": "Look."}).json()["id"]
        viewer = world.make_person(
            f"{cast.bob.user.username}-v", cast.company, cast.brand, world.Role.VIEWER
        )
        before = AIUsageAlert.objects.of(cast.company.pk).values().get()
        address = URL + path.format(number)

        assert api.request(method, address, json={}).status_code == 401
        if method == "GET":
            assert api.as_(viewer).get(address).status_code == 200
        else:
            refused = api.as_(viewer).request(method, address, json={})
            assert (refused.status_code, refused.json()["error_code"]) == (403, "SCOPE_MISSING")
        if "{}" in path:
            foreign = api.as_(cast.charlie).request(method, address, json={})
            absent = api.as_(cast.charlie).request(method, URL + path.format(10**12), json={})
            assert foreign.status_code == absent.status_code == 404
            assert foreign.content == absent.content
        assert AIUsageAlert.objects.of(cast.company.pk).values().get() == before


def test_a_retired_model_is_told(cast: Cast) -> None:
    """The alert of the journal's lane writes its event in the same transaction."""
    listen(cast.alice)

    world.submit(cast.alice, model="o1", params={}, later=True)

    (alert,) = alerts(cast)
    assert (alert.alert_type, alert.said["words"]["model"]) == ("model_retired", "o1")
    ((event, data),) = told(cast)
    assert (event, data["id"], data["message"]) == ("alert.created", alert.pk, alert.message)
