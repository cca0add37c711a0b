"""What the ledger refuses by itself, whatever its writers believe."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from ai_usage.models import LedgerEntry
from tests.world import Cast


def write(cast: Cast, job_id: int, kind: str, **facts: Any) -> LedgerEntry:
    return LedgerEntry.objects.unscoped().create(
        company=cast.company,
        job_id=job_id,
        job_ref=f"{kind} {job_id}",
        kind=kind,
        provider="openai",
        model="gpt-4o-mini",
        generation="gpt-4",
        **facts,
    )


@pytest.mark.parametrize(
    ("first", "second"), [("settle", "settle"), ("settle", "void"), ("void", "settle")]
)
def test_a_job_is_closed_once(cast: Cast, first: str, second: str) -> None:
    job_id = 10**12 + cast.company.pk
    write(cast, job_id, first, attempt_no=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        write(cast, job_id, second, attempt_no=2)

    assert LedgerEntry.objects.of(cast.company.pk).filter(job_id=job_id).count() == 1


def test_an_attempt_has_one_late_cost(cast: Cast) -> None:
    job_id = 10**12 + cast.company.pk
    write(cast, job_id, "settle", attempt_no=2)
    write(cast, job_id, "late", attempt_no=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        write(cast, job_id, "late", attempt_no=1)
