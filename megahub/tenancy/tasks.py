"""Beat's chores for tokens and idempotency keys."""

from __future__ import annotations

from celery import shared_task

from megahub.tenancy import idempotency, services, throttles


@shared_task(name="tenancy.forget_old")
def forget_old() -> None:
    """Delete expired idempotency keys and refresh tokens."""
    idempotency.forget_old()
    services.forget_expired()
    throttles.forget_old()
