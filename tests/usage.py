"""Ledger entries and folded rollups for tests of figures."""

from __future__ import annotations

import itertools
import time
from datetime import datetime, timedelta
from typing import Any

from ai_usage.models import JobRemoval, LedgerEntry, RatingChange, RollupCursor
from ai_usage.services import rollups
from tests.world import RUN, Cast

_numbers = itertools.count(1)
_jobs = itertools.count(-(10**12))


def entry(cast: Cast, at: datetime, cost: int = 1000, **fields: Any) -> LedgerEntry:
    """A settlement of Alice's company as of ``at``: 10 tokens in, 5 out, 100 ms, ``cost`` nano-USD."""
    known: dict[str, Any] = {
        "company_id": cast.company.pk,
        "brand_id": cast.brand.pk,
        "job_id": next(_jobs),
        "job_ref": f"ai_job_{RUN}_{next(_numbers)}",
        "attempt_no": 1,
        "kind": "settle",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "generation": "legacy",
        "sandbox": True,
        "outcome": "completed",
        "is_success": True,
        "execution_time_ms": 100,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_nano_usd": cost,
        "cost_input_nano_usd": cost // 2,
        "charged_nano_usd": cost,
        "created_at": at,
    }
    return LedgerEntry.objects.unscoped().create(**{**known, **fields})  # type: ignore[no-any-return]


def fold() -> None:
    """Fold until nothing is left (other tests' transactions may be open for a moment)."""
    RollupCursor.objects.update(seen_at=datetime.fromisoformat("2020-01-01T00:00Z"))
    until = time.monotonic() + 20
    while True:
        rollups.fold(timedelta(0))
        cursor = RollupCursor.objects.get()
        left = (
            LedgerEntry.objects.unscoped().filter(pk__gt=min(cursor.ledger_id, cursor.job_entry_id)),
            RatingChange.objects.unscoped().filter(pk__gt=cursor.rating_id),
            JobRemoval.objects.unscoped().filter(pk__gt=cursor.removal_id),
        )
        if not any(rows.exists() for rows in left):
            return
        assert time.monotonic() < until
        time.sleep(0.02)
