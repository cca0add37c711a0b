"""What lines of batches counted against, for whoever prices their ledger entries later."""

from __future__ import annotations

from collections.abc import Iterable

from ai_batch.domain.results import FIRST_LEDGER_NUMBER
from ai_batch.models import Line
from ai_usage.services.repricing import Held


def held_by(numbers: Iterable[int]) -> dict[int, Held]:
    """By a line's number in the ledger: its batch's windows of money, and whether batch rates apply."""
    found = Line.objects.filter(pk__in=[FIRST_LEDGER_NUMBER - number for number in numbers])
    return {
        FIRST_LEDGER_NUMBER - line.pk: Held(
            [(budget, start) for budget, start, unit, *_ in line.batch.windows if unit == "nano_usd"],
            is_batch=line.batch.engine == "provider",
        )
        for line in found.select_related("batch")
    }
