"""What is told of a batch: ``batch.progress`` while it runs, an e-mail at its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ai_batch.models import Batch
from ai_batch.services import chores, ingest
from megahub.delivery.domain import events
from megahub.delivery.models import Mail, Outbox
from megahub.delivery.services import endpoints
from megahub.kernel import clock
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.world import Cast

pytestmark = pytest.mark.usefixtures("rung")
CHAT = "/v1/chat/completions"
BAD = "no [sandbox: refuse_param=max_tokens]"


def made(api: Api, count: int, **fields: Any) -> Batch:
    requests = [line(f"c{n}") for n in range(count)]
    asked = {"endpoint": CHAT, "requests": requests, "engine": "hub", **fields}
    answer = api.post("/api/batch/create", asked)
    assert answer.status_code == 201, answer.text
    return Batch.objects.unscoped().get(batch_id=answer.json()["batch"]["id"])  # type: ignore[no-any-return]


def told(cast: Cast) -> list[int]:
    rows = Outbox.objects.of(cast.company.pk).filter(event_type=events.BATCH_PROGRESS).order_by("pk")
    return [row.data["percent"] for row in rows]


def done(batch: Batch, lines: int) -> None:
    """So many lines have ended by now; beat looks."""
    Batch.objects.unscoped().filter(pk=batch.pk).update(completed=lines)
    chores.tend_one(Batch.objects.unscoped().get(pk=batch.pk))


def wants(cast: Cast, *types: str) -> None:
    asked = {"url": "https://example.com/hook", "events": list(types)}
    endpoints.register(cast.company.pk, asked)


def test_progress_is_told_in_steps(api: Api, cast: Cast, settings: Any) -> None:
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True
    wants(cast, events.BATCH_PROGRESS)
    batch = made(api.as_(cast.alice), 20)
    ingest.validate(batch.pk)
    for lines in (0, 1, 3, 3, 4, 11, 20):
        done(batch, lines)
    assert told(cast) == [15, 20, 55]
    event = Outbox.objects.of(cast.company.pk).filter(event_type=events.BATCH_PROGRESS).earliest("pk")
    assert event.data["batch_id"] == batch.batch_id
    assert event.data["request_counts"] == {"total": 20, "completed": 3, "failed": 0}


def test_nobody_is_told_who_does_not_want_it(api: Api, cast: Cast) -> None:
    batch = made(api.as_(cast.alice), 20)
    ingest.validate(batch.pk)
    done(batch, 10)
    assert told(cast) == []


def mails(cast: Cast) -> list[tuple[str, str]]:
    return list(Mail.objects.of(cast.company.pk).order_by("pk").values_list("to", "subject"))


def addressed(cast: Cast) -> None:
    cast.alice.user.email = "alice@example.com"
    cast.alice.user.save(update_fields=["email"])


def test_a_mail_at_the_end(api: Api, cast: Cast) -> None:
    addressed(cast)
    alice = api.as_(cast.alice)
    batch = work(made(alice, 2, notify=True, metadata={"name": "Night\r\nBcc: x"}))
    assert mails(cast) == [("alice@example.com", "[MEGAHUB] Batch Night Bcc: x: completed")]
    text = Mail.objects.of(cast.company.pk).get().text
    assert "Requests: 2, of which 2 succeeded and 0 did not." in text
    assert f"Cost: {alice.get(f'/api/batch/{batch.batch_id}').json()['batch']['total_cost']} USD." in text
    assert text.rstrip().endswith("/console/batches/")


def test_a_mail_is_in_its_readers_language(api: Api, cast: Cast) -> None:
    addressed(cast)
    cast.alice.user.language = "fr"
    cast.alice.user.save(update_fields=["language"])
    work(made(api.as_(cast.alice), 1, notify=True, metadata={"name": "Nuit"}))
    assert mails(cast) == [("alice@example.com", "[MEGAHUB] Lot Nuit : mené à bien")]
    assert "Requêtes : 1, dont 1 réussies et 0 non." in Mail.objects.of(cast.company.pk).get().text


def test_only_who_asks_is_mailed(api: Api, cast: Cast) -> None:
    addressed(cast)
    work(made(api.as_(cast.alice), 1))
    work(made(api.as_(cast.alice), 1, notify=False))
    work(made(api.as_(cast.bob), 1, notify=True))  # has no address
    assert mails(cast) == []


def test_a_batch_that_never_began_is_mailed_of_once(api: Api, cast: Cast) -> None:
    addressed(cast)
    batch = made(api.as_(cast.alice), 1, requests=[line("a", temperature=9)], notify=True)
    ingest.validate(batch.pk)
    assert list(Batch.objects.of(cast.company.pk).values_list("mail_due", flat=True)) == [True]
    long_ago = clock.now() - timedelta(days=2)  # beat was away for longer than that
    Batch.objects.of(cast.company.pk).update(failed_at=long_ago)
    for _ in range(2):
        chores.mail_failures()
    assert list(Batch.objects.of(cast.company.pk).values_list("mail_due", flat=True)) == [False]
    assert mails(cast) == [("alice@example.com", f"[MEGAHUB] Batch {batch.batch_id}: failed")]
    assert "Error: " in Mail.objects.of(cast.company.pk).get().text


def test_who_asked_for_no_mail_is_not_looked_at(api: Api, cast: Cast) -> None:
    batch = made(api.as_(cast.alice), 1, requests=[line("a", temperature=9)])
    ingest.validate(batch.pk)
    assert list(Batch.objects.of(cast.company.pk).values_list("status", "mail_due")) == [("failed", False)]


def test_it_is_asked_for_in_a_form_too(api: Api, cast: Cast) -> None:
    form = {"endpoint": CHAT, "notify": "true"}
    upload = {"file": ("b.jsonl", b"{}")}
    told = api.as_(cast.alice).post("/api/batch/create", data=form, files=upload).json()
    assert told["batch"]["notify"] is True
    odd = api.as_(cast.alice).post("/api/batch/create", data={**form, "notify": "maybe"}, files=upload)
    assert (odd.status_code, "notify" in odd.json()["detail"]) == (400, True)
