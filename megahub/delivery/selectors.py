"""Who wants to hear of what, remembered for seconds; a company's endpoints and deliveries."""

from __future__ import annotations

import psycopg
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet

from megahub.delivery.domain.events import EVENTS
from megahub.delivery.models import WebhookDelivery, WebhookEndpoint
from megahub.kernel.cache import ShortLived
from megahub.kernel.errors import NotFound

TTL_SECONDS = 5.0
EVERYTHING = frozenset(EVENTS)
#: How a database that does not answer shows.
AWAY = (DatabaseError, InterfaceError, psycopg.Error, OSError)


async def wanted(company_id: int) -> frozenset[str]:
    """The events that some active endpoint of the company wants; nearly always none.

    All of them while the database is away: whoever asks is about to write, and what is written for
    nobody is dropped when it is spread.
    """
    try:
        return await _wanted.aget(company_id)
    except AWAY:
        return EVERYTHING


def wanted_now(company_id: int) -> frozenset[str]:
    """``wanted`` for synchronous code, never inside the journal's transactions."""
    try:
        return _wanted.get(company_id)
    except AWAY:
        return EVERYTHING


def forget() -> None:
    """Forget who wants what (after an endpoint was changed); other processes do within seconds."""
    _wanted.forget()


def endpoints_of(company_id: int) -> QuerySet[WebhookEndpoint]:
    """A company's endpoints, the oldest first."""
    rows: QuerySet[WebhookEndpoint] = WebhookEndpoint.objects.of(company_id)
    return rows.order_by("id")


def endpoint_of(company_id: int, endpoint_id: int) -> WebhookEndpoint:
    """Raises NotFound, also for a foreign one."""
    found = endpoints_of(company_id).filter(pk=endpoint_id).first()
    if found is None:
        raise NotFound
    return found


def deliveries_of(endpoint: WebhookEndpoint) -> QuerySet[WebhookDelivery]:
    """What was sent to an endpoint, or is to be, the newest first."""
    rows: QuerySet[WebhookDelivery] = WebhookDelivery.objects.of(endpoint.company_id)
    return rows.filter(endpoint=endpoint).order_by("-id")


def delivery_of(endpoint: WebhookEndpoint, delivery_id: int) -> WebhookDelivery:
    """Raises NotFound, also for another endpoint's."""
    found = deliveries_of(endpoint).filter(pk=delivery_id).first()
    if found is None:
        raise NotFound
    return found


def switched_off() -> QuerySet[WebhookEndpoint]:
    """The endpoints of all companies that the hub switched off by itself."""
    rows: QuerySet[WebhookEndpoint] = WebhookEndpoint.objects.unscoped()
    return rows.filter(is_active=False).exclude(disabled_reason="")


def _load(company_id: int) -> frozenset[str]:
    lists = endpoints_of(company_id).filter(is_active=True).values_list("events", flat=True)
    return frozenset(event for names in lists for event in names)


_wanted: ShortLived[int, frozenset[str]] = ShortLived(_load, TTL_SECONDS)
