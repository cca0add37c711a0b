"""The provider's own batch API, played by the sandbox: half the price, each line once."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ai_batch.models import Batch
from ai_batch.services import chores, ingest, remote
from ai_providers.adapters import batches as wire
from ai_providers.domain import pricing
from ai_providers.domain.wire import Usage
from ai_usage.models import LedgerEntry
from megahub.delivery.domain import events
from megahub.delivery.models import Outbox
from megahub.delivery.services import endpoints
from megahub.kernel import clock
from megahub.kernel.errors import ProviderDisconnected, ProviderRefused
from tests import world
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"


def made(api: Api, *lines: Any, **fields: Any) -> Batch:
    answer = api.post("/api/batch/create", {"endpoint": CHAT, "requests": list(lines), **fields})
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])  # type: ignore[no-any-return]


def test_it_works(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    budget = world.make_budget(cast.company, "5")
    batch = work(made(alice, line("a"), line("b", "no [sandbox: refuse_param=max_tokens]"), line("c")))
    assert (batch.engine, batch.status, batch.completed, batch.failed) == ("provider", "completed", 2, 1)
    told = [json.loads(raw) for raw in alice.get(f"/api/batch/{batch.batch_id}/results").text.splitlines()]
    assert [each["custom_id"] for each in told] == ["a", "c"]
    assert [each["id"][:10] for each in told] == ["batch_req_"] * 2

    terms = world.terms(cast.company, "gpt-4o-mini")
    entry = LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").order_by("pk")[0]
    usage = Usage(input=entry.input_tokens, output=entry.output_tokens)
    listed, halved = (pricing.cost(terms.price, usage, terms.rate, batch=b).usd_nano for b in (False, True))
    assert Decimal(entry.cost_nano_usd) == halved
    assert abs(listed - 2 * halved) <= 2
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, batch.cost_nano_usd)


def test_what_was_fetched_twice_is_charged_once(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch breaks off after the first line; the next look brings the rest."""
    batch = made(api.as_(cast.alice), line("a"), line("b"), line("c"))
    real = wire.content
    broken = []

    async def breaks(access: Any, file_id: str) -> Any:
        async for piece in real(access, file_id):
            if not broken:
                broken.append(file_id)
                yield piece.split(b"\n")[0] + b"\n"
                raise ProviderDisconnected(provider="openai")
            yield piece

    monkeypatch.setattr("ai_batch.services.bringing.AT_ONCE", 1)
    monkeypatch.setattr(wire, "content", breaks)
    done = work(batch)
    assert broken
    assert (done.completed, done.failed) == (3, 0)
    assert LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count() == 3


def test_a_lost_answer_makes_no_second_batch(api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = made(api.as_(cast.alice), line("a"))
    real, calls = wire.create, []

    async def lost(*args: Any) -> Any:
        calls.append(args)
        await real(*args)
        raise ProviderDisconnected(provider="openai")

    monkeypatch.setattr(wire, "create", lost)
    done = work(batch)
    assert (done.status, done.completed, len(calls)) == ("completed", 1, 1)


def test_what_the_provider_refuses_fails_the_batch(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = api.as_(cast.alice)

    async def refuses(*args: Any) -> Any:
        raise ProviderRefused(provider="openai", words={"reason": "no room"})

    monkeypatch.setattr(wire, "create", refuses)
    done = work(made(alice, line("a")))
    assert (done.status, done.failed, done.errors[0]["code"]) == ("failed", 1, "provider_refused")
    assert not LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").exists()


def test_an_outage_does_not_give_up_what_lies_at_the_provider(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = made(api.as_(cast.alice), line("a"))
    ingest.validate(batch.pk)
    remote.advance(batch.pk)
    Batch.objects.unscoped().filter(pk=batch.pk).update(
        polls=remote.MAX_FAILURES, provider_status="in_progress"
    )

    async def away(*args: Any) -> Any:
        raise ProviderDisconnected(provider="openai")

    with monkeypatch.context() as outage:
        outage.setattr(wire, "get", away)
        remote.advance(batch.pk)
    assert Batch.objects.unscoped().get(pk=batch.pk).status == "in_progress"

    done = work(batch)
    assert (done.status, done.completed) == ("completed", 1)
    assert LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count() == 1


def test_cancelling_reaches_the_provider(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    batch = made(alice, line("a", "x [sandbox: delay=1s]"), line("b"))
    ingest.validate(batch.pk)
    remote.advance(batch.pk)
    assert alice.post(f"/api/batch/{batch.batch_id}/cancel").status_code == 200
    chores.stop(batch.pk)
    done = work(batch)
    assert done.status == "cancelled"
    assert done.completed + done.failed == 2
    assert done.failed >= 1


def test_a_provider_that_is_cancelling_is_looked_at_when_it_is_due(
    api: Api, cast: Cast, rung: list[Any]
) -> None:
    alice = api.as_(cast.alice)
    batch = made(alice, line("a"))
    ingest.validate(batch.pk)
    remote.advance(batch.pk)
    alice.post(f"/api/batch/{batch.batch_id}/cancel")
    told = ("ai_batch.remote", (batch.pk,), "low")
    rung.clear()
    chores.stop(batch.pk)
    assert rung == [told]
    rows = Batch.objects.unscoped().filter(pk=batch.pk)
    rows.update(provider_status="cancelling", lease_until=None, ring_at=clock.now() + timedelta(minutes=1))
    rung.clear()
    chores.tend_one(rows.get())
    assert rung == []
    rows.update(ring_at=clock.now())
    chores.tend_one(rows.get())
    assert rung == [told]


def test_a_batch_of_the_hubs_engine_asks_no_provider(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = api.as_(cast.alice)
    batch = made(alice, line("a"), engine="hub")
    asked: list[int] = []

    async def counted(batch_pk: int) -> bool:
        asked.append(batch_pk)
        return False

    monkeypatch.setattr(remote, "refresh", counted)
    for engine, status in (("hub", "in_progress"), ("provider", "completed"), ("provider", "in_progress")):
        Batch.objects.unscoped().filter(pk=batch.pk).update(engine=engine, status=status)
        assert alice.get(f"/api/batch/{batch.batch_id}").status_code == 200
    assert asked == [batch.pk]


def test_a_model_without_a_batch_api_runs_here(api: Api, cast: Cast) -> None:
    alice = api.as_(cast.alice)
    model = "mistralai/Mistral-Small-4-119B-2603"
    assert work(made(alice, line("a", model=model))).engine == "hub"
    refused = work(made(alice, line("a", model=model), engine="provider"))
    assert (refused.status, refused.errors[0]["param"]) == ("failed", "body.model")


def test_what_the_provider_could_not_serve_is_handed_over_again(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line b is a 503 in the first round and answered in the second; a is charged once."""
    alice = api.as_(cast.alice)
    budget = world.make_budget(cast.company, "5")
    batch = made(alice, line("a"), line("b"), backoff_seconds=0)
    real, rounds = wire.content, []

    async def overloaded(access: Any, file_id: str) -> Any:
        rounds.append(file_id)
        async for piece in real(access, file_id):
            told = [json.loads(raw) for raw in piece.splitlines()]
            for each in told:
                if each["custom_id"] == "b" and len(rounds) == 1:
                    each["response"] = {
                        "status_code": 503,
                        "request_id": "x",
                        "body": {"error": {"code": "overloaded"}},
                    }
            yield b"".join(json.dumps(each).encode() + b"\n" for each in told)

    monkeypatch.setattr(wire, "content", overloaded)
    done = work(batch)
    assert (done.status, done.completed, done.failed, done.provider_round) == ("completed", 2, 0, 1)
    assert list(done.lines.order_by("line_no").values_list("tries", flat=True)) == [0, 1]
    assert LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count() == 2
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, done.cost_nano_usd)


def test_not_more_often_than_the_batch_allows(api: Api, cast: Cast) -> None:
    lines = [
        line("a"),
        line("b", "x [sandbox: status=503]"),
        line("c", "x [sandbox: refuse_param=max_tokens]"),
    ]
    done = work(made(api.as_(cast.alice), *lines, max_attempts=3, backoff_seconds=0))
    assert (done.status, done.completed, done.failed, done.provider_round) == ("completed", 1, 2, 2)
    assert list(done.lines.order_by("line_no").values_list("tries", "status_code")) == [
        (0, 200),
        (2, 503),
        (0, 400),
    ]


def test_refresh_asks_the_provider_but_not_all_the_time(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, rung: list[Any]
) -> None:
    alice = api.as_(cast.alice)
    batch = made(alice, line("a"))
    ingest.validate(batch.pk)
    remote.advance(batch.pk)
    asked = []
    real = wire.get

    async def counted(*args: Any) -> Any:
        asked.append(args)
        return {**await real(*args), "status": "completed"}

    monkeypatch.setattr(wire, "get", counted)
    path = f"/api/batch/{batch.batch_id}"
    assert alice.get(f"{path}?refresh=false").status_code == 200
    assert asked == []
    rung.clear()
    for _ in range(3):
        assert alice.get(path).status_code == 200
    assert len(asked) == 1
    assert ("ai_batch.remote", (batch.pk,), "normal") in rung
    Batch.objects.unscoped().filter(pk=batch.pk).update(poll_at=None)

    async def broken(*args: Any) -> Any:
        raise ProviderDisconnected(provider="openai")

    monkeypatch.setattr(wire, "get", broken)
    assert alice.get(path).json()["batch"]["status"] == "in_progress"


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (b"<html>bad gateway</html>", "outcome_unknown"),
        (b'["b"]', "outcome_unknown"),
        (b'{"custom_id": "b", "response": {"status_code": "fine", "body": {}}}', "provider_error"),
        (b'{"custom_id": "b", "response": {"status_code": 1e9, "body": null}}', "provider_error"),
    ],
)
def test_what_nobody_can_read_of_a_providers_file_ends_its_line(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, odd: bytes, code: str
) -> None:
    batch = made(api.as_(cast.alice), line("a"), line("b"))
    real = wire.content

    async def garbled(access: Any, file_id: str) -> Any:
        async for piece in real(access, file_id):
            for raw in piece.splitlines():
                yield (odd if json.loads(raw)["custom_id"] == "b" else raw) + b"\n"

    monkeypatch.setattr(wire, "content", garbled)
    done = work(batch)
    assert (done.status, done.completed, done.failed) == ("completed", 1, 1)
    assert list(done.lines.order_by("line_no").values_list("status", "error_code")) == [
        ("completed", None),
        ("failed", code),
    ]
    assert LedgerEntry.objects.of(cast.company.pk).filter(kind="settle").count() == 1


def test_what_the_provider_counts_is_shown_while_it_runs(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """In the batch, its progress, OpenAI's shape and webhooks; there are no results before the end."""
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True
    endpoints.register(cast.company.pk, {"url": "https://example.com/h", "events": [events.BATCH_PROGRESS]})
    alice = api.as_(cast.alice)
    batch = made(alice, *(line(f"c{number}") for number in range(10)))
    ingest.validate(batch.pk)
    real = wire.get

    async def halfway(*args: Any) -> Any:
        counts = {"total": 10, "completed": 4, "failed": 1}
        return {**await real(*args), "status": "in_progress", "request_counts": counts}

    with monkeypatch.context() as running:
        running.setattr(wire, "get", halfway)
        remote.advance(batch.pk)
        remote.advance(batch.pk)
        path = f"/api/batch/{batch.batch_id}"
        told = alice.get(f"{path}?refresh=false").json()["batch"]
        counted = {"total": 10, "completed": 4, "failed": 1}
        assert (told["request_counts"], told["progress"]["percent"]) == (counted, 50.0)
        assert (told["results_available"], told["total_cost"]) == (False, "0.000000")
        assert alice.get(f"/v1/batches/{batch.batch_id}").json()["request_counts"] == counted
        refused = alice.get(f"{path}/results")
        assert (refused.status_code, refused.json()["error_code"]) == (409, "RESULTS_NOT_AVAILABLE")
        chores.tend_one(Batch.objects.unscoped().get(pk=batch.pk))
    (event,) = Outbox.objects.of(cast.company.pk).filter(event_type=events.BATCH_PROGRESS)
    assert (event.data["percent"], event.data["request_counts"]) == (50, counted)
    done = work(batch)
    assert (done.completed, done.failed, done.ended_so_far) == (10, 0, (10, 0))
    assert len(alice.get(f"{path}/results").text.splitlines()) == 10


@pytest.mark.parametrize("counts", [None, [], {"completed": "4", "failed": -1}, {"completed": 10**12}])
def test_counts_that_are_none_are_not_shown(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, counts: Any
) -> None:
    batch = made(api.as_(cast.alice), line("a"))
    ingest.validate(batch.pk)
    real = wire.get

    async def odd(*args: Any) -> Any:
        return {**await real(*args), "status": "in_progress", "request_counts": counts}

    monkeypatch.setattr(wire, "get", odd)
    remote.advance(batch.pk)
    remote.advance(batch.pk)
    batch.refresh_from_db()
    most = isinstance(counts, dict) and counts.get("completed") == 10**12
    assert batch.ended_so_far == (int(most), 0)
