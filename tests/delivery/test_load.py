"""Promise 6 under load: 1,000 events to a receiver that fails at random; each arrives, signed, in order."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import transaction

from megahub.delivery.domain import signing
from megahub.delivery.domain.events import EVENTS
from megahub.delivery.models import Outbox, WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import outbox, relay
from megahub.kernel import clock
from tests.delivery.receiver import Receiver
from tests.world import Cast

NUMBER = 1000
ROUNDS = 60
#: A receiver's moods: mostly well, sometimes failing before or after it has taken the event in.
ANSWERS = (204, 204, 204, 204, 500, 503, 429)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_event_arrives(
    cast: Cast, registered: Callable[..., tuple[WebhookEndpoint, str]], receiver: Receiver
) -> None:
    dice, lock, taken = random.Random(6), threading.Lock(), Counter[str]()

    def answer(number: int) -> int:
        with lock:
            status = dice.choice(ANSWERS)
            taken[str(status)] += 1
            return status

    receiver.answer, receiver.one_by_one = answer, True
    WebhookEndpoint.objects.unscoped().update(is_active=False)  # what other tests left
    _, secret = registered(cast.alice)
    with transaction.atomic():
        for number in range(NUMBER):
            outbox.tell(cast.company.pk, next(iter(EVENTS)), {"number": number})

    own = WebhookDelivery.objects.of(cast.company.pk)
    for _ in range(ROUNDS):
        for pump in relay.relay():
            pump.result(timeout=240)
        if not own.filter(state="pending").exists() and own.count() == NUMBER:
            break
        own.filter(state="pending").update(next_at=clock.now())
        WebhookEndpoint.objects.of(cast.company.pk).update(failures=0)

    for heard in receiver.heard:
        name, moment = heard.headers["webhook-id"], int(heard.headers["webhook-timestamp"])
        assert heard.headers["webhook-signature"] == signing.sign(secret, name, moment, heard.body)
    events = list(Outbox.objects.of(cast.company.pk).order_by("id").values_list("event_id", flat=True))
    arrivals = Counter(heard.headers["webhook-id"] for heard in receiver.heard)
    assert set(arrivals) == set(events)
    assert sorted({heard.json["data"]["number"] for heard in receiver.heard}) == list(range(NUMBER))
    assert list(own.values_list("state", flat=True).distinct().order_by()) == ["delivered"]
    # As often as it was answered with a failure, and once more.
    assert len(receiver.heard) == NUMBER + sum(taken[status] for status in ("500", "503", "429"))
    assert sum(own.values_list("attempt", flat=True)) == len(receiver.heard)
    # The first attempts go out in the order of the events, within what is on its way at once.
    first = list(dict.fromkeys(heard.headers["webhook-id"] for heard in receiver.heard))
    places = {event: place for place, event in enumerate(events)}
    furthest = max(abs(places[event] - place) for place, event in enumerate(first))
    assert furthest < 2 * AT_ONCE


#: Messages of one endpoint that are on their way together (``relay.SENT_AT_ONCE``).
AT_ONCE = 20
