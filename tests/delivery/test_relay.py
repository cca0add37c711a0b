"""From a job's end to a receiver: written with the settlement, signed, retried, given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from ai_core import pipeline
from ai_core.services import edit
from megahub.delivery import selectors
from megahub.delivery.domain import retrying, signing
from megahub.delivery.domain.events import EVENTS
from megahub.delivery.models import Outbox, WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import relay
from megahub.kernel import clock, loop
from megahub.kernel.errors import ProviderRefused
from tests import world
from tests.delivery.receiver import Receiver
from tests.stubs import Scripted, completion
from tests.world import Cast

Registered = Callable[..., tuple[WebhookEndpoint, str]]
Provider = Callable[..., Scripted]


def outbox(cast: Cast) -> list[Outbox]:
    return list(Outbox.objects.of(cast.company.pk).order_by("id"))


def deliveries(cast: Cast) -> list[WebhookDelivery]:
    return list(WebhookDelivery.objects.of(cast.company.pk).order_by("id"))


def due_now(cast: Cast) -> None:
    WebhookDelivery.objects.of(cast.company.pk).filter(state="pending").update(next_at=clock.now())


def test_it_works(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
) -> None:
    provider(completion("Hi.", prompt=10, output=5))
    endpoint, secret = registered(cast.alice)
    job = loop.run(pipeline.run(world.submit(cast.alice)))

    (event,) = outbox(cast)
    assert (event.event_type, event.relayed_at) == ("job.completed", None)
    relayed()

    (heard,) = receiver.heard
    row = world.row(job)
    assert heard.json == {
        "type": "job.completed",
        "timestamp": clock.iso(event.created_at),
        "data": {
            "id": row.pk,
            "job_id": row.job_id,
            "status": "completed",
            "brand_id": cast.brand.pk,
            "provider": "openai",
            "model": "gpt-4o-mini",
            "sandbox": True,
            "execution_time_seconds": row.execution_time_ms / 1000,
            "usage": {
                "input_tokens": 10,
                "output_tokens": 5,
                "total_tokens": 15,
                "total_cost": "0.000005",
            },
            "completed_at": clock.iso(row.completed_at),
            "error": None,
        },
    }
    message_id, timestamp = heard.headers["webhook-id"], int(heard.headers["webhook-timestamp"])
    assert message_id == event.event_id
    assert abs(timestamp - clock.now().timestamp()) < 30
    assert heard.headers["webhook-signature"] == signing.sign(secret, message_id, timestamp, heard.body)
    assert heard.headers["content-type"] == "application/json"
    (delivery,) = deliveries(cast)
    assert (delivery.state, delivery.attempt, delivery.status, delivery.next_at) == (
        "delivered",
        1,
        204,
        None,
    )
    assert [entry["status"] for entry in delivery.history] == [204]
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.last_success_at is not None) == (0, True)


def test_nobody_listens_nothing_is_written(cast: Cast, provider: Provider, registered: Registered) -> None:
    provider(completion())
    registered(cast.charlie)
    registered(cast.alice, events=["job.failed"])

    loop.run(pipeline.run(world.submit(cast.alice)))

    assert outbox(cast) == []


def test_a_failed_job(cast: Cast, provider: Provider, registered: Registered) -> None:
    provider(ProviderRefused(provider="openai", reason="no"))
    registered(cast.alice)

    loop.run(pipeline.finish(world.submit(cast.alice)))

    (event,) = outbox(cast)
    assert event.event_type == "job.failed"
    assert event.data["status"] == "failed"
    assert event.data["error"] == {"code": "PROVIDER_REFUSED", "message": "openai refused the request: no"}
    assert event.data["usage"] is None


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_a_cancelled_job(cast: Cast, rung: Any, registered: Registered, how: str) -> None:
    registered(cast.alice)
    job = world.submit(cast.alice, later=True)

    if how == "cancelled":
        assert loop.run(pipeline.cancel(job.pk, cast.company.pk))
    else:
        edit.end_pending(world.row(job))
        edit.delete(world.row(job))

    (event,) = outbox(cast)
    assert (event.event_type, event.data["job_id"]) == ("job.cancelled", job.job_ref)
    assert event.data["error"]["code"] == "JOB_CANCELLED"


def test_a_settlement_that_comes_too_late_tells_nothing(
    cast: Cast, provider: Provider, registered: Registered
) -> None:
    provider(completion())
    registered(cast.alice)
    job = world.submit(cast.alice)
    world.AIJob.objects.unscoped().filter(pk=job.pk).update(attempt_no=7)

    loop.run(pipeline.finish(job))

    assert outbox(cast) == []


def test_each_event_reaches_each_endpoint_that_wants_it(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
) -> None:
    provider(completion())
    registered(cast.alice)
    registered(cast.alice, events=["job.completed"])
    registered(cast.alice, events=["job.cancelled"])
    registered(cast.charlie)
    loop.run(pipeline.run(world.submit(cast.alice)))
    loop.run(pipeline.run(world.submit(cast.alice)))

    relayed()
    relayed()

    ids = sorted(heard.headers["webhook-id"] for heard in receiver.heard)
    events = [event.event_id for event in outbox(cast)]
    assert ids == sorted(events * 2)


def told(cast: Cast, provider: Provider) -> None:
    provider(completion())
    loop.run(pipeline.run(world.submit(cast.alice)))


class TestRetries:
    def test_the_same_id_until_it_arrives(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        endpoint, secret = registered(cast.alice)
        receiver.answer = lambda number: 500 if number < 3 else 200
        told(cast, provider)
        relayed()
        (delivery,) = deliveries(cast)
        assert (delivery.state, delivery.status, delivery.error) == ("pending", 500, "answered 500")
        assert 3 < (delivery.next_at - clock.now()).total_seconds() < 7
        relayed()
        assert len(receiver.heard) == 1  # not due yet

        due_now(cast)
        relayed()
        endpoint.refresh_from_db()
        assert endpoint.failures == 2
        due_now(cast)
        relayed()

        assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1
        assert len({heard.body for heard in receiver.heard}) == 1
        assert len(receiver.heard) == 3
        (delivery,) = deliveries(cast)
        assert (delivery.state, delivery.attempt) == ("delivered", 3)
        assert [entry["status"] for entry in delivery.history] == [500, 500, 200]
        endpoint.refresh_from_db()
        assert (endpoint.failures, endpoint.failing_since) == (0, None)

    def test_a_redirect_is_a_failure_and_is_not_followed(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        registered(cast.alice)
        receiver.answer = lambda _: (302, {"Location": receiver.url + "/elsewhere"}, b"")
        told(cast, provider)

        relayed()

        assert [heard.path for heard in receiver.heard] == ["/hook"]
        (delivery,) = deliveries(cast)
        assert (delivery.state, delivery.status) == ("pending", 302)

    def test_gone_switches_it_off(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        endpoint, _ = registered(cast.alice)
        receiver.answer = lambda _: 410
        told(cast, provider)
        relayed()

        endpoint.refresh_from_db()
        assert (endpoint.is_active, endpoint.disabled_reason) == (False, "gone")
        assert [d.state for d in deliveries(cast)] == ["failed"]
        told(cast, provider)
        relayed()
        assert len(outbox(cast)) == len(receiver.heard) == 1

    def test_a_receiver_may_ask_for_patience(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        registered(cast.alice)
        receiver.answer = lambda _: (503, {"Retry-After": "900"}, b"")
        told(cast, provider)
        relayed()

        (delivery,) = deliveries(cast)
        assert 890 < (delivery.next_at - clock.now()).total_seconds() <= 900

    def test_it_is_given_up_after_three_days(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        registered(cast.alice)
        receiver.answer = lambda _: 500
        told(cast, provider)
        for _ in range(len(retrying.STEPS) + 1):
            relayed()
            due_now(cast)

        assert len(receiver.heard) == 10
        assert [d.state for d in deliveries(cast)] == ["failed"]
        assert sum(retrying.STEPS) >= timedelta(days=3).total_seconds()

    def test_lasting_failure_switches_it_off(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        endpoint, _ = registered(cast.alice)
        receiver.answer = lambda _: 500
        rows = WebhookEndpoint.objects.of(cast.company.pk)
        rows.update(failures=20, failing_since=clock.now() - timedelta(days=3))
        told(cast, provider)

        relayed()

        endpoint.refresh_from_db()
        assert (endpoint.is_active, endpoint.disabled_reason) == (False, "failing")

    def test_no_one_there(
        self, cast: Cast, registered: Registered, relayed: Any, provider: Provider
    ) -> None:
        registered(cast.alice, url="http://127.0.0.1:1/")
        told(cast, provider)

        relayed()

        (delivery,) = deliveries(cast)
        assert (delivery.state, delivery.status, delivery.error) == ("pending", None, "no connection")


class TestClaims:
    def test_two_relays_send_it_once(
        self, cast: Cast, registered: Registered, receiver: Receiver, provider: Provider
    ) -> None:
        endpoint, _ = registered(cast.alice)
        told(cast, provider)
        relay.spread()
        relay.spread()

        first, second = relay.claim(endpoint.pk), relay.claim(endpoint.pk)

        assert (len(first), second) == (1, [])

    def test_a_stale_reading_takes_nothing(
        self, cast: Cast, registered: Registered, provider: Provider
    ) -> None:
        endpoint, _ = registered(cast.alice)
        told(cast, provider)
        relay.spread()
        (row,) = deliveries(cast)

        assert [relay._take(row, clock.now()) for _ in range(2)] == [True, False]
        # Nor when the lease of the one who was quicker has run out.
        assert relay._take(row, clock.now() + 2 * relay.LEASE) is False

    def test_a_process_that_died_is_followed_up_with_the_same_id(
        self, cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
    ) -> None:
        endpoint, _ = registered(cast.alice)
        told(cast, provider)
        relay.spread()
        (lost,) = relay.claim(endpoint.pk)
        relayed()
        assert receiver.heard == []
        due_now(cast)
        (second,) = relay.claim(endpoint.pk)
        relay.remember(lost, relay.Answer(410, 1, "answered 410"))  # it comes back to life: too late
        assert [(d.state, d.attempt) for d in deliveries(cast)] == [("pending", second.attempt)]
        WebhookDelivery.objects.of(cast.company.pk).update(next_at=clock.now())  # its lease runs out

        relayed()

        (heard,) = receiver.heard
        assert heard.headers["webhook-id"] == lost.event_id
        relay.remember(second, relay.Answer(500, 1, "answered 500"))
        assert [d.state for d in deliveries(cast)] == ["delivered"]


def test_nothing_is_missing_whatever_fails(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any
) -> None:
    """A receiver that fails up to four times for each message; processes that die with what they took."""
    endpoint, _ = registered(cast.alice)
    for number in range(40):
        outbox_row = {"event_id": f"evt_{cast.company.pk}_{number}", "event_type": "job.failed", "data": {}}
        Outbox.objects.unscoped().create(company=cast.company, **outbox_row)
    arrived: list[str] = []
    seen: Counter[str] = Counter()

    def answer(_: int) -> int:
        message_id = receiver.heard[-1].headers["webhook-id"]
        seen[message_id] += 1
        if seen[message_id] <= int(message_id.rpartition("_")[2]) % 5:
            return 500
        arrived.append(message_id)
        return 200

    receiver.answer = answer
    receiver.one_by_one = True
    for round_ in range(12):
        relayed()
        due_now(cast)
        if round_ % 5 == 0:
            relay.claim(endpoint.pk)  # and dies
            due_now(cast)

    assert sorted(arrived) == sorted(event.event_id for event in outbox(cast))
    assert {d.state for d in deliveries(cast)} == {"delivered"}
    assert sum(seen.values()) == 40 + 8 * (1 + 2 + 3 + 4)


def test_an_endpoint_that_only_fails_is_probed(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
) -> None:
    registered(cast.alice)
    for _ in range(3):
        told(cast, provider)
    receiver.answer = lambda _: 500
    WebhookEndpoint.objects.of(cast.company.pk).update(failures=relay.SENT_AT_ONCE)

    relayed()

    assert len(receiver.heard) == 1


def test_both_secrets_sign_while_both_are_good(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
) -> None:
    from megahub.delivery.services import endpoints

    endpoint, old = registered(cast.alice)
    new = endpoints.rotate_secret(endpoint)
    told(cast, provider)
    relayed()
    WebhookEndpoint.objects.of(cast.company.pk).update(previous_until=clock.now())
    told(cast, provider)
    relayed()

    first, second = receiver.heard

    def signatures(heard: Any, *secrets: str) -> str:
        message = (heard.headers["webhook-id"], int(heard.headers["webhook-timestamp"]), heard.body)
        return " ".join(signing.sign(secret, *message) for secret in secrets)

    assert first.headers["webhook-signature"] == signatures(first, new, old)
    assert second.headers["webhook-signature"] == signatures(second, new)


def test_slack_hears_a_text(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
) -> None:
    registered(cast.alice, kind="slack")
    provider(completion())
    job = loop.run(pipeline.run(world.submit(cast.alice)))
    relayed()

    (heard,) = receiver.heard
    text = f"job.completed (job_id: {world.row(job).job_id}, status: completed, model: gpt-4o-mini)"
    assert heard.json == {"text": text}


def test_what_was_told_long_ago_is_forgotten(
    cast: Cast, registered: Registered, receiver: Receiver, relayed: Any, provider: Provider
) -> None:
    registered(cast.alice)
    told(cast, provider)
    relayed()
    told(cast, provider)
    old = clock.now() - timedelta(days=31)
    Outbox.objects.of(cast.company.pk).exclude(relayed_at=None).update(relayed_at=old)
    WebhookDelivery.objects.of(cast.company.pk).update(created_at=old)

    relay.forget_old()

    assert [event.relayed_at for event in outbox(cast)] == [None]
    assert deliveries(cast) == []


def test_what_cannot_be_asked_is_told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is away nobody knows who listens: the event is written all the same."""

    def away(company_id: int) -> frozenset[str]:
        raise OperationalError("away")

    monkeypatch.setattr(selectors._wanted, "load", away)
    selectors.forget()

    assert selectors.wanted_now(cast.company.pk) == frozenset(EVENTS)
    assert loop.run(selectors.wanted(cast.company.pk)) == frozenset(EVENTS)


def test_an_event_that_nobody_wants_any_more_is_dropped(cast: Cast, relayed: Any) -> None:
    event = {"event_id": f"evt_{cast.company.pk}", "event_type": "job.failed", "data": {}}
    Outbox.objects.unscoped().create(company=cast.company, **event)

    relayed()

    assert [row.relayed_at is not None for row in outbox(cast)] == [True]
    assert deliveries(cast) == []
