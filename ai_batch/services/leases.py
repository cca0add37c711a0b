"""Who validates or finishes a batch: one process at a time, as long as it says so."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q

from ai_batch.models import Batch
from megahub.kernel import clock

LEASE = timedelta(seconds=60)


def take(batch_pk: int, *statuses: str) -> Batch | None:
    """The batch, now this process's to work on; None when another has it or its state is another."""
    now = clock.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    rows = Batch.objects.unscoped().filter(free, pk=batch_pk, status__in=statuses)
    if not rows.update(lease_until=now + LEASE):
        return None
    found: Batch | None = Batch.objects.unscoped().select_related("input_file").get(pk=batch_pk)
    return found


def renew(batch_pk: int) -> None:
    """Still at it."""
    Batch.objects.unscoped().filter(pk=batch_pk).update(lease_until=clock.now() + LEASE)


def release(batch_pk: int) -> None:
    """Done with it, for now or for good."""
    Batch.objects.unscoped().filter(pk=batch_pk).update(lease_until=None)
