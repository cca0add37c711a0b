"""``/ai/webhooks/``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from megahub.delivery.adapters import sending
from megahub.delivery.domain import signing
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import endpoints
from megahub.kernel import clock, loop
from tests import world
from tests.conftest import Api
from tests.delivery.receiver import Receiver
from tests.stubs import Scripted, completion
from tests.world import Cast

URL = "/ai/webhooks/"
Registered = Callable[..., tuple[WebhookEndpoint, str]]
PATHS = [
    ("GET", ""), ("POST", ""), ("GET", "{}/"), ("PUT", "{}/"), ("PATCH", "{}/"), ("DELETE", "{}/"),
    ("POST", "{}/test/"), ("POST", "{}/rotate_secret/"), ("GET", "{}/deliveries/"),
    ("GET", "{}/deliveries/1/"), ("POST", "{}/deliveries/1/redeliver/"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names lead outside; the inner ones inside."""
    real = sending.look_up

    async def look_up(host: str, port: int) -> list[tuple[int, str]]:
        if host.endswith("example.com"):
            return [(2, "10.0.0.1" if host.startswith("inner") else "93.184.216.34")]
        return await real(host, port)

    monkeypatch.setattr(sending, "look_up", look_up)


def rows(cast: Cast) -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.of(cast.company.pk).order_by("id"))


class TestRegister:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        body = {
            "url": "https://hooks.example.com/a",
            "events": ["job.failed", "job.completed", "job.failed"],
        }
        response = api.as_(cast.alice).post(URL, body)

        assert response.status_code == 201, response.text
        (row,) = rows(cast)
        answer = response.json()
        secret = answer.pop("secret")
        assert answer == {
            "id": row.pk,
            "url": "https://hooks.example.com/a",
            "kind": "standard",
            "events": ["job.completed", "job.failed"],
            "description": "",
            "is_active": True,
            "failures": 0,
            "failing_since": None,
            "disabled_at": None,
            "disabled_reason": "",
            "last_success_at": None,
            "has_previous_secret_until": None,
            "created_at": clock.iso(row.created_at),
        }
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
        assert row.secrets() == [secret]
        stored = WebhookEndpoint.objects.of(cast.company.pk).values().get()
        assert all(secret[6:].encode() not in bytes(str(value), "utf8") for value in stored.values())
        assert api.as_(cast.alice).get(f"{URL}{row.pk}/").json() == answer
        assert api.as_(cast.alice).get(URL).json()["results"] == [answer]

    @pytest.mark.parametrize(
        "url",
        [
            "https://169.254.169.254/latest/meta-data/", "http://hooks.example.com/", "https://localhost/",
            "https://inner.example.com/", "https://[::1]/", "https://hooks.example.com:8443/", "nonsense",
        ],
    )  # fmt: skip
    def test_addresses_inside(self, api: Api, cast: Cast, url: str) -> None:
        response = api.as_(cast.alice).post(URL, {"url": url, "events": ["job.failed"]})

        assert response.status_code == 400
        assert response.json()["error_code"] == "VALIDATION_ERROR"
        assert list(response.json()["field_errors"]) == ["url"]
        assert rows(cast) == []

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"url": None}, "url"), ({"url": ""}, "url"), ({"url": 5.5}, "url"), ({"url": ["a"]}, "url"),
            ({"events": []}, "events"), ({"events": ["job.exploded"]}, "events.0"),
            ({"events": "x"}, "events"),
            ({"kind": "pigeon"}, "kind"), ({"is_active": "maybe"}, "is_active"),
            ({"description": "x" * 201}, "description"), ({"secret": "mine"}, "secret"),
            ({"company": 1}, "company"), ({"failures": 3}, "failures"),
        ],
    )  # fmt: skip
    def test_bad_input(self, api: Api, cast: Cast, changes: dict[str, Any], field: str) -> None:
        body = {"url": "https://hooks.example.com/", "events": ["job.failed"], **changes}
        response = api.as_(cast.alice).post(URL, body)

        assert response.status_code == 400
        told = response.json()
        assert told.get("invalid_params", list(told.get("field_errors", ()))) == [field]
        assert rows(cast) == []

    def test_there_is_an_end_to_it(self, api: Api, cast: Cast, registered: Registered) -> None:
        for _ in range(endpoints.MAX_ENDPOINTS):
            registered(cast.alice)

        body = {"url": "https://hooks.example.com/", "events": ["job.failed"]}
        response = api.as_(cast.alice).post(URL, body)

        assert response.status_code == 400
        assert response.json()["detail"] == "A company has at most 20 webhook endpoints."
        assert len(rows(cast)) == 20


class TestWho:
    @pytest.mark.parametrize(("method", "path"), PATHS)
    def test_strangers_members_and_keys(
        self, api: Api, cast: Cast, registered: Registered, method: str, path: str
    ) -> None:
        endpoint, _ = registered(cast.alice)
        before = WebhookEndpoint.objects.of(cast.company.pk).values().get()
        address = URL + path.format(endpoint.pk)

        assert api.request(method, address, json={}).status_code == 401
        for outsider in (cast.bob, cast.alice.api_key("jobs:read")):
            refused = api.as_(outsider).request(method, address, json={})
            assert (refused.status_code, refused.json()["error_code"]) == (403, "SCOPE_MISSING")
        if path:
            foreign = api.as_(cast.charlie).request(method, address, json={})
            absent = api.as_(cast.charlie).request(method, URL + path.format(10**12), json={})
            assert foreign.status_code == absent.status_code == 404
            assert foreign.content == absent.content
        assert WebhookEndpoint.objects.of(cast.company.pk).values().get() == before

    def test_a_key_with_the_scope(self, api: Api, cast: Cast, registered: Registered) -> None:
        registered(cast.alice)

        key = cast.alice.api_key("webhooks:manage")

        assert api.as_(key).get(URL).json()["count"] == 1


class TestChange:
    def test_it_works(self, api: Api, cast: Cast, registered: Registered) -> None:
        endpoint, _ = registered(cast.alice)
        changes = {"url": "https://hooks.example.com/b", "events": ["alert.created"], "description": "Ours"}
        response = api.as_(cast.alice).request("PATCH", f"{URL}{endpoint.pk}/", json=changes)

        assert response.status_code == 200
        assert {name: response.json()[name] for name in changes} == changes
        off = api.as_(cast.alice).request("PUT", f"{URL}{endpoint.pk}/", json={"is_active": False})
        assert (off.json()["is_active"], off.json()["url"]) == (False, "https://hooks.example.com/b")

    def test_an_address_inside_changes_nothing(self, api: Api, cast: Cast, registered: Registered) -> None:
        endpoint, _ = registered(cast.alice)
        body = {"url": "http://169.254.169.254/", "description": "x"}

        response = api.as_(cast.alice).request("PUT", f"{URL}{endpoint.pk}/", json=body)

        assert (response.status_code, list(response.json()["field_errors"])) == (400, ["url"])
        assert [(row.url, row.description) for row in rows(cast)] == [(endpoint.url, "")]

    def test_switching_it_on_forgives(self, api: Api, cast: Cast, registered: Registered) -> None:
        endpoint, _ = registered(cast.alice)
        WebhookEndpoint.objects.of(cast.company.pk).update(
            is_active=False,
            failures=12,
            failing_since=clock.now(),
            disabled_at=clock.now(),
            disabled_reason="gone",
        )
        answer = (
            api.as_(cast.alice).request("PATCH", f"{URL}{endpoint.pk}/", json={"is_active": True}).json()
        )

        told = [answer[name] for name in ("is_active", "failures", "failing_since", "disabled_reason")]
        assert told == [True, 0, None, ""]

    def test_delete(self, api: Api, cast: Cast, registered: Registered) -> None:
        endpoint, _ = registered(cast.alice)

        assert api.as_(cast.alice).request("DELETE", f"{URL}{endpoint.pk}/").status_code == 204
        assert rows(cast) == []

    def test_rotate(self, api: Api, cast: Cast, registered: Registered) -> None:
        endpoint, old = registered(cast.alice)

        answer = api.as_(cast.alice).post(f"{URL}{endpoint.pk}/rotate_secret/").json()

        assert rows(cast)[0].secrets() == [answer["secret"], old]
        assert answer["secret"] != old
        assert answer["has_previous_secret_until"] is not None
        again = api.as_(cast.alice).post(f"{URL}{endpoint.pk}/rotate_secret/").json()
        assert rows(cast)[0].secrets() == [again["secret"], answer["secret"]]


class TestDeliveries:
    def test_a_test(self, api: Api, cast: Cast, registered: Registered, receiver: Receiver) -> None:
        endpoint, secret = registered(cast.alice)

        answer = api.as_(cast.alice).post(f"{URL}{endpoint.pk}/test/").json()

        (heard,) = receiver.heard
        assert answer["success"] is True
        assert answer["delivery"]["event_id"] == heard.headers["webhook-id"]
        assert (answer["delivery"]["state"], answer["delivery"]["status"]) == ("delivered", 204)
        assert heard.json["type"] == "webhook.test"
        signed = (heard.headers["webhook-id"], int(heard.headers["webhook-timestamp"]), heard.body)
        assert heard.headers["webhook-signature"] == signing.sign(secret, *signed)

    def test_a_test_that_fails(
        self, api: Api, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any
    ) -> None:
        endpoint, _ = registered(cast.alice)
        receiver.answer = lambda _: 500

        answer = api.as_(cast.alice).post(f"{URL}{endpoint.pk}/test/").json()
        relayed()

        assert answer["success"] is False
        assert (answer["delivery"]["state"], answer["delivery"]["error"]) == ("failed", "answered 500")
        assert (len(receiver.heard), rows(cast)[0].failures) == (1, 0)

    def test_history_and_redelivery(
        self,
        api: Api,
        cast: Cast,
        registered: Registered,
        receiver: Receiver,
        relayed: Any,
        provider: Callable[..., Scripted],
        rung: Any,
    ) -> None:
        provider(completion())
        endpoint, _ = registered(cast.alice)
        loop.run(pipeline.run(world.submit(cast.alice)))
        relayed()
        listed = api.as_(cast.alice).get(f"{URL}{endpoint.pk}/deliveries/").json()
        (first,) = listed["results"]
        assert (listed["count"], first["event_type"], first["state"]) == (1, "job.completed", "delivered")
        assert [entry["status"] for entry in first["history"]] == [204]
        address = f"{URL}{endpoint.pk}/deliveries/{first['id']}/"
        assert api.as_(cast.alice).get(address).json() == first

        again = api.as_(cast.alice).post(f"{address}redeliver/")

        assert (again.status_code, again.json()["delivery"]["state"]) == (202, "pending")
        assert rung == [("delivery.relay", (), "system")]
        relayed()
        assert [heard.headers["webhook-id"] for heard in receiver.heard] == [first["event_id"]] * 2
        assert len(api.as_(cast.alice).get(address).json()["history"]) == 2

    def test_no_redelivery_to_what_is_switched_off(
        self, api: Api, cast: Cast, registered: Registered, receiver: Receiver
    ) -> None:
        endpoint, _ = registered(cast.alice)
        number = api.as_(cast.alice).post(f"{URL}{endpoint.pk}/test/").json()["delivery"]["id"]
        WebhookEndpoint.objects.of(cast.company.pk).update(is_active=False)

        refused = api.as_(cast.alice).post(f"{URL}{endpoint.pk}/deliveries/{number}/redeliver/")

        assert (refused.status_code, refused.json()["error_code"]) == (409, "CONFLICT")
        assert WebhookDelivery.objects.of(cast.company.pk).get().state == "delivered"

    def test_anothers_delivery(
        self, api: Api, cast: Cast, registered: Registered, receiver: Receiver
    ) -> None:
        mine, _ = registered(cast.alice)
        other, _ = registered(cast.alice)
        number = api.as_(cast.alice).post(f"{URL}{mine.pk}/test/").json()["delivery"]["id"]

        found = api.as_(cast.alice).get(f"{URL}{other.pk}/deliveries/{number}/")
        absent = api.as_(cast.alice).get(f"{URL}{other.pk}/deliveries/{10**12}/")

        assert found.status_code == absent.status_code == 404
        assert found.content == absent.content

    @pytest.mark.parametrize(
        "query", ["state=lost", "colour=red", "ordering=body", "page=0", "created_at__gte=x"]
    )
    def test_bad_filters(self, api: Api, cast: Cast, registered: Registered, query: str) -> None:
        endpoint, _ = registered(cast.alice)

        response = api.as_(cast.alice).get(f"{URL}{endpoint.pk}/deliveries/?{query}")

        assert response.status_code == 400
        assert query.split("=", maxsplit=1)[0] in response.text


def test_filters(api: Api, cast: Cast, registered: Registered) -> None:
    registered(cast.alice, kind="slack")
    registered(cast.alice, is_active=False)

    def count(query: str) -> int:
        return int(api.as_(cast.alice).get(f"{URL}?{query}").json()["count"])

    assert (count("kind=slack"), count("is_active=false"), count("is_active=true&kind=standard")) == (
        1,
        1,
        0,
    )
