"""The order in which a company's waiting jobs run.

Urgent before high before normal before low; but a job's place is its moment plus a handicap, so that one
that has waited longer than the difference of two handicaps goes before a fresh one of the higher priority,
and nothing waits for ever.
"""

from __future__ import annotations

HANDICAP_SECONDS = {"urgent": 0, "high": 300, "normal": 900, "low": 3600}


def place(priority: str, waits_since: float) -> float:
    """Where a job stands that is due since then (seconds): the lowest goes first."""
    return waits_since + HANDICAP_SECONDS[priority]
