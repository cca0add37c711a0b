"""Registering, changing and trying webhook endpoints; rotating their secrets."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from megahub.delivery import selectors
from megahub.delivery.adapters import sending
from megahub.delivery.domain import addresses, events, signing
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.delivery.services import relay
from megahub.kernel import clock, loop, queue
from megahub.kernel.errors import Conflict, ValidationFailed
from megahub.kernel.queue import SYSTEM_QUEUE
from megahub.kernel.text import Text

MAX_ENDPOINTS = 20
LOOK_UP_SECONDS = 3.0
#: For how long the secret before a rotation signs beside the new one.
TWO_SECRETS = timedelta(hours=24)
CHANGEABLE = ("url", "kind", "events", "description", "is_active")


def register(company_id: int, asked: dict[str, Any]) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret, which is never shown again. Raises ValidationFailed.

    Its address was checked (``check_address``) before: that asks the network.
    """
    with transaction.atomic():
        if selectors.endpoints_of(company_id).count() >= MAX_ENDPOINTS:
            text = Text("A company has at most {limit} webhook endpoints.", limit=MAX_ENDPOINTS)
            raise ValidationFailed(text.template, words=text.words)
        endpoint = WebhookEndpoint(company_id=company_id, **asked)
        secret = signing.new_secret()
        endpoint.sealed_secret = endpoint.seal(secret)
        endpoint.save(force_insert=True)
    transaction.on_commit(selectors.forget)
    return endpoint, secret


def change(endpoint: WebhookEndpoint, asked: dict[str, Any]) -> None:
    """Change what was asked for; to switch it on again forgives what it failed.

    A new address was checked (``check_address``) before.
    """
    changes = {name: value for name, value in asked.items() if name in CHANGEABLE}
    if changes.get("is_active") and not endpoint.is_active:
        changes |= {"failures": 0, "failing_since": None, "disabled_at": None, "disabled_reason": ""}
    for name, value in changes.items():
        setattr(endpoint, name, value)
    if changes:
        endpoint.save(update_fields=list(changes))
    transaction.on_commit(selectors.forget)


def delete(endpoint: WebhookEndpoint) -> None:
    """Delete an endpoint with the history of what it was sent."""
    endpoint.delete()
    transaction.on_commit(selectors.forget)


def rotate_secret(endpoint: WebhookEndpoint) -> str:
    """A new secret; the one before signs beside it for TWO_SECRETS."""
    secret = signing.new_secret()
    endpoint.sealed_previous = bytes(endpoint.sealed_secret)
    endpoint.previous_until = clock.now() + TWO_SECRETS
    endpoint.sealed_secret = endpoint.seal(secret)
    endpoint.save(update_fields=["sealed_secret", "sealed_previous", "previous_until"])
    return secret


def try_out(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send a ``webhook.test`` now, once; how it went. An endpoint's failures are not counted by it."""
    now = clock.now()
    data = {"endpoint_id": endpoint.pk, "message": "A test from MEGAHUB."}
    row = WebhookDelivery.objects.unscoped().create(
        company_id=endpoint.company_id,
        endpoint=endpoint,
        event_id=events.new_id(),
        event_type=events.TEST,
        body=relay.body_for(endpoint, events.TEST, now, data).decode(),
        state=WebhookDelivery.State.FAILED,
        next_at=None,
    )
    message = relay.claimed(row, endpoint, relay.secrets_of(endpoint))
    answer = loop.run(relay.post(message))
    row.attempt = row.tries = 1
    relay.write_end(row, answer, clock.now())
    if answer.is_success:
        row.state, row.delivered_at = WebhookDelivery.State.DELIVERED, clock.now()
    row.save(update_fields=["attempt", "tries", "state", "delivered_at", *relay.ENDED])
    return row


def redeliver(delivery: WebhookDelivery) -> None:
    """Send a message again, with the same id, and retry it as a new one. Raises Conflict."""
    if not delivery.endpoint.is_active:
        raise Conflict("The webhook endpoint is switched off; switch it on first.")
    rows = WebhookDelivery.objects.of(delivery.company_id).filter(pk=delivery.pk, attempt=delivery.attempt)
    if not rows.update(state="pending", tries=0, next_at=clock.now(), delivered_at=None):
        raise Conflict("The message is being sent at this moment.")
    transaction.on_commit(partial(queue.ring, "delivery.relay", queue=SYSTEM_QUEUE))


def check_address(url: str) -> None:
    """Raise ValidationFailed for an address that the hub would never send to.

    A name that is not known (yet) passes: it is resolved and checked again at every send.
    """
    try:
        addresses.check_url(url, allow_private=settings.HUB_WEBHOOKS_ALLOW_PRIVATE)
    except addresses.Refused as refused:
        raise _refused(refused.args[0]) from refused
    if not loop.run(_leads_outside(url)):
        raise _refused(Text("This address does not lead to a public host."))


def _refused(text: str) -> ValidationFailed:
    return ValidationFailed(field_errors={"url": [text]}, param="url")


async def _leads_outside(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            found = await sending.look_up(parts.hostname or "", parts.port or 443)
    except (OSError, UnicodeError, TimeoutError):
        return True
    allow_private = settings.HUB_WEBHOOKS_ALLOW_PRIVATE
    return all(addresses.is_allowed(address, allow_private=allow_private) for _, address in found)
