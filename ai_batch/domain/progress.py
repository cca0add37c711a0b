"""How far a batch has come, and when it will be there. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from megahub.kernel import money


def of(
    *,
    status: str,
    total: int,
    done: int,
    began: datetime | None,
    now: datetime,
    cost_nano_usd: int,
    estimated_nano_usd: int,
) -> dict[str, Any]:
    """Percentage, lines a second, seconds left, cost so far; null where nothing is known yet."""
    rate = None
    if began is not None and done and (seconds := (now - began).total_seconds()) > 0:
        rate = done / seconds
    running = status == "in_progress"
    return {
        "percent": round(100 * done / total, 1) if total else 0.0,
        "done": done,
        "total": total,
        "lines_per_second": round(rate, 2) if rate is not None and running else None,
        "seconds_left": round((total - done) / rate) if rate and running else None,
        "cost_usd": money.show(cost_nano_usd),
        "estimated_cost_usd": money.show(estimated_nano_usd),
    }
