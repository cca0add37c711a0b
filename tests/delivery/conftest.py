"""A receiver on loopback, and the settings that let the hub send there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from megahub.delivery.models import WebhookEndpoint
from megahub.delivery.services import endpoints, relay
from tests.delivery.receiver import Receiver, listening
from tests.world import Person

EVENTS = ["job.completed", "job.failed", "job.cancelled", "alert.created", "budget.threshold"]


@pytest.fixture
def private(settings: Any) -> None:
    """Loopback may be sent to."""
    settings.HUB_WEBHOOKS_ALLOW_PRIVATE = True


@pytest.fixture
def receiver(private: None) -> Iterator[Receiver]:
    with listening() as found:
        yield found


@pytest.fixture
def registered(receiver: Receiver) -> Callable[..., tuple[WebhookEndpoint, str]]:
    """``registered(person)``: an endpoint of theirs at the receiver, and its secret."""

    def register(person: Person, **changes: Any) -> tuple[WebhookEndpoint, str]:
        asked = {"url": receiver.url, "events": EVENTS, **changes}
        return endpoints.register(person.company.pk, asked)

    return register


@pytest.fixture
def relayed() -> Callable[[], None]:
    """One round of beat's relay, waited for."""

    def run() -> None:
        # What other tests left is not sent to.
        left = WebhookEndpoint.objects.unscoped().exclude(url__startswith="http://127.0.0.1")
        left.update(is_active=False)
        for pump in relay.relay():
            pump.result(timeout=30)

    return run
