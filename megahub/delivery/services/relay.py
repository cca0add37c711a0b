"""Beat's way from the outbox to the receivers: spread, claim, send, remember.

``spread`` turns each event into a delivery per endpoint that wants it, once. A *pump* per endpoint
claims what is due by compare-and-swap, sends it on the process's event loop (a slow receiver holds
no thread) and writes how it went. A process that dies in between leaves a lease that runs out: the
same message, with the same id, is then sent again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from megahub.delivery import selectors
from megahub.delivery.adapters import sending
from megahub.delivery.adapters.sending import Answer
from megahub.delivery.domain import events, retrying, signing
from megahub.delivery.models import Outbox, WebhookDelivery, WebhookEndpoint
from megahub.kernel import clock, loop, vault

log = logging.getLogger(__name__)

SPREAD_AT_ONCE = 500
#: Messages of one endpoint on their way at once; one that failed as often in a row is tried with one.
SENT_AT_ONCE = 20
PUMPS = 100
#: A claim runs out after this; longer than a send may take.
LEASE = timedelta(seconds=60)
HISTORY_KEPT = 30
OUTBOX_KEPT = timedelta(days=7)
DELIVERIES_KEPT = timedelta(days=30)
CONTENT = {"Content-Type": "application/json", "User-Agent": "megahub-webhooks/1"}

#: The endpoints that this process is sending to.
_pumping: set[int] = set()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is now this process's to send, as its ``attempt``."""

    pk: int
    attempt: int
    tries: int
    url: str
    event_id: str
    body: bytes
    secrets: tuple[str, ...]


def relay() -> list[Future[None]]:
    """Spread what is new and begin to send what is due; the pumps that were started."""
    while spread() == SPREAD_AT_ONCE:
        pass
    due = WebhookDelivery.objects.unscoped().filter(state="pending", next_at__lte=clock.now())
    endpoints = due.filter(endpoint__is_active=True).values_list("endpoint_id", flat=True).distinct()
    started = []
    for endpoint_id in list(endpoints.order_by()):
        if endpoint_id not in _pumping and len(_pumping) < PUMPS:
            _pumping.add(endpoint_id)
            started.append(loop.start(pump(endpoint_id)))
    return started


def spread() -> int:
    """Make deliveries of events that have none yet, at most SPREAD_AT_ONCE; how many events."""
    waiting = Outbox.objects.unscoped().filter(relayed_at=None).order_by("id")
    if not waiting.exists():
        return 0
    with transaction.atomic():
        found = list(waiting.select_for_update(skip_locked=True)[:SPREAD_AT_ONCE])
        companies = {event.company_id for event in found}
        endpoints = list(
            WebhookEndpoint.objects.unscoped().filter(company_id__in=companies, is_active=True)
        )
        deliveries = [
            _delivery(event, endpoint)
            for event in found
            for endpoint in endpoints
            if endpoint.company_id == event.company_id and event.event_type in endpoint.events
        ]
        WebhookDelivery.objects.unscoped().bulk_create(deliveries, ignore_conflicts=True)
        keys = [event.pk for event in found]
        Outbox.objects.unscoped().filter(pk__in=keys).update(relayed_at=clock.now())
    return len(found)


def _delivery(event: Outbox, endpoint: WebhookEndpoint) -> WebhookDelivery:
    body = body_for(endpoint, event.event_type, event.created_at, event.data)
    return WebhookDelivery(
        company_id=event.company_id,
        endpoint=endpoint,
        event_id=event.event_id,
        event_type=event.event_type,
        body=body.decode(),
    )


def body_for(endpoint: WebhookEndpoint, event_type: str, moment: datetime, data: dict[str, Any]) -> bytes:
    """A message's body in the words of the endpoint's kind."""
    if endpoint.kind == WebhookEndpoint.Kind.SLACK:
        return events.slack(event_type, data)
    return events.message(event_type, clock.iso(moment) or "", data)


async def pump(endpoint_id: int) -> None:
    """Send what is due to one endpoint until nothing is, or until nothing arrives."""
    try:
        while claimed := await loop.in_thread(claim, endpoint_id):
            arrived = await asyncio.gather(*(_deliver(message) for message in claimed))
            if not any(arrived):
                break
    finally:
        _pumping.discard(endpoint_id)


async def _deliver(message: Claimed) -> bool:
    answer = await post(message)
    await loop.in_thread(remember, message, answer)
    return answer.is_success


async def post(message: Claimed) -> Answer:
    """Sign a message now and send it."""
    if not message.secrets:
        return Answer(None, 0, "the stored secret cannot be opened")
    signed = signing.headers(list(message.secrets), message.event_id, int(time.time()), message.body)
    return await sending.send(message.url, CONTENT | signed, message.body)


def claim(endpoint_id: int) -> list[Claimed]:
    """Take what is due to an endpoint; what another process takes at the same time is not ours."""
    now = clock.now()
    endpoint = WebhookEndpoint.objects.unscoped().filter(pk=endpoint_id, is_active=True).first()
    if endpoint is None:
        return []
    rows = WebhookDelivery.objects.unscoped().filter(endpoint=endpoint, state="pending", next_at__lte=now)
    most = 1 if endpoint.failures >= SENT_AT_ONCE else SENT_AT_ONCE
    secrets = secrets_of(endpoint)
    return [
        claimed(row, endpoint, secrets) for row in rows.order_by("next_at", "id")[:most] if _take(row, now)
    ]


def _take(row: WebhookDelivery, now: datetime) -> bool:
    """Compare and swap: one claimant per attempt."""
    own = WebhookDelivery.objects.unscoped().filter(pk=row.pk, state="pending", attempt=row.attempt)
    moved = own.filter(next_at__lte=now).update(
        attempt=F("attempt") + 1, tries=F("tries") + 1, next_at=now + LEASE
    )
    return bool(moved == 1)


def claimed(row: WebhookDelivery, endpoint: WebhookEndpoint, secrets: tuple[str, ...]) -> Claimed:
    """A row (as it was read before it was taken) as the message to send."""
    return Claimed(
        pk=row.pk,
        attempt=row.attempt + 1,
        tries=row.tries + 1,
        url=endpoint.url,
        event_id=row.event_id,
        body=row.body.encode(),
        secrets=secrets,
    )


def secrets_of(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    """The secrets that are good now; none when they do not open."""
    try:
        return tuple(endpoint.secrets())
    except vault.Sealed:
        log.error("the secret of webhook endpoint %s does not open", endpoint.pk)
        return ()


def remember(message: Claimed, answer: Answer) -> None:
    """Write how an attempt went; one that was overtaken (its lease ran out) changes nothing more."""
    now = clock.now()
    with transaction.atomic():
        rows = WebhookDelivery.objects.unscoped().select_for_update()
        row = rows.filter(pk=message.pk, attempt=message.attempt, state="pending").first()
        if row is None:
            return
        write_end(row, answer, now)
        if answer.is_success:
            row.state, row.next_at, row.delivered_at = "delivered", None, now
        else:
            later = retrying.next_at(message.tries, now, answer.retry_after)
            given_up = later is None or answer.status == sending.GONE
            row.state, row.next_at = ("failed", None) if given_up else ("pending", later)
        row.save(update_fields=["state", "next_at", "delivered_at", *ENDED])
        _keep_score(row.endpoint_id, answer, now)


ENDED = ("status", "ms", "error", "history")


def write_end(row: WebhookDelivery, answer: Answer, now: datetime) -> None:
    """Note an attempt's end in the row (unsaved)."""
    row.status, row.ms, row.error = answer.status, answer.ms, answer.error[:200]
    entry = {
        "attempt": row.attempt,
        "at": clock.iso(now),
        "status": row.status,
        "ms": row.ms,
        "error": row.error,
    }
    row.history = [*row.history, entry][-HISTORY_KEPT:]


def _keep_score(endpoint_id: int, answer: Answer, now: datetime) -> None:
    """What an attempt says of its endpoint: well again, failing, or not to be tried any more."""
    rows = WebhookEndpoint.objects.unscoped().filter(pk=endpoint_id)
    if answer.is_success:
        rows.update(failures=0, failing_since=None, last_success_at=now)
        return
    rows.update(failures=F("failures") + 1, failing_since=Coalesce("failing_since", now))
    endpoint = rows.get()
    if answer.status == sending.GONE:
        reason = WebhookEndpoint.Disabled.GONE
    elif retrying.is_lasting(endpoint.failing_since, endpoint.failures, now):
        reason = WebhookEndpoint.Disabled.FAILING
    else:
        return
    if rows.filter(is_active=True).update(is_active=False, disabled_at=now, disabled_reason=reason):
        log.warning("webhook endpoint %s is switched off: %s", endpoint_id, reason.value)
        transaction.on_commit(selectors.forget)


def forget_old() -> None:
    """Delete what was spread and what was sent (or never could be) some time ago."""
    now = clock.now()
    Outbox.objects.unscoped().filter(relayed_at__lt=now - OUTBOX_KEPT).delete()
    WebhookDelivery.objects.unscoped().filter(created_at__lt=now - DELIVERIES_KEPT).delete()
