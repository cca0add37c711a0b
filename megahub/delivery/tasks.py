"""Beat's chores for the outbox and webhooks."""

from __future__ import annotations

from celery import shared_task

from megahub.delivery.services import mails
from megahub.delivery.services import relay as relaying


@shared_task(name="delivery.relay")
def relay() -> None:
    """Spread new events and send what is due."""
    relaying.relay()


@shared_task(name="delivery.forget_old")
def forget_old() -> None:
    """Delete what was told long ago."""
    relaying.forget_old()
    mails.forget_old()


@shared_task(name="delivery.send_mails")
def send_mails() -> None:
    """Send the mails that are due."""
    mails.send_due()
