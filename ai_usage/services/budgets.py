"""Budgets in the journal's transactions: hold before a job runs, charge when it has ended.

Every change of a window is one conditional UPDATE, so that no two callers are both told that there
is room; windows are always taken in the same order, so that transactions cannot wait for each other
in a ring. The invariants: ``reserved`` is the sum of the open reservations, ``spent`` the sum of what
the ledger charged.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from ai_usage.domain.budgets import Hold, Limit, Subject, refusal
from megahub.kernel import sql
from megahub.kernel.errors import HubError
from megahub.kernel.sql import Session

WINDOWS = "ai_usage_budgetwindow"
Window = tuple[int, date, bool]

ENSURE = (
    f"INSERT INTO {WINDOWS} (budget_id, starts_on, sandbox, reserved, spent)"
    " SELECT id, %s, %s, 0, 0 FROM ai_usage_budget WHERE id = %s ON CONFLICT DO NOTHING"
)
RESERVE = (
    f"UPDATE {WINDOWS} SET reserved = reserved + %s FROM ai_usage_budget b"
    f" WHERE b.id = {WINDOWS}.budget_id AND budget_id = %s AND starts_on = %s AND sandbox = %s"
    ' AND (NOT %s OR spent + reserved + %s <= b."limit")'
)
RELEASE = (
    f"UPDATE {WINDOWS} SET reserved = reserved - %s"
    " WHERE budget_id = %s AND starts_on = %s AND sandbox = %s"
)
SETTLE = f"UPDATE {WINDOWS} SET reserved = reserved - %s, spent = spent + %s WHERE id = %s"
STATE = (
    f'SELECT w.spent, w.reserved, b."limit" FROM {WINDOWS} w JOIN ai_usage_budget b'
    " ON b.id = w.budget_id WHERE w.budget_id = %s AND w.starts_on = %s AND w.sandbox = %s"
)

HELD = sql.Rows(
    "r",
    {"job_id": "int", "budget_id": "int", "starts_on": "date", "sandbox": "bool", "amount": "int"},
)
CLOSED = sql.Rows("r", {"job_id": "int"})
@dataclass(frozen=True, slots=True)
class Request:
    """A job that asks for room: who, the budgets that were matched, and how much of each window."""

    subject: Subject
    limits: tuple[Limit, ...]
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Charge:
    """What an ended job counts against its windows, by the unit of each."""

    nano_usd: int = 0
    tokens: int = 0
    jobs: int = 0


def reserve(session: Session, requests: list[Request], moment: datetime) -> list[HubError | None]:
    """Hold room for each request in all of its windows, or in none: the refusal, or None.

    The sum of a window's requests is tried first; only a window without room for all of them is
    asked one by one, in order, so that each gets a true answer.
    """
    verdicts: list[HubError | None] = [None] * len(requests)
    asked: dict[Window, list[tuple[int, Hold]]] = defaultdict(list)
    for position, request in enumerate(requests):
        for hold in request.holds:
            asked[hold.window].append((position, hold))
    for window in sorted(asked):
        wanted = [(position, hold) for position, hold in asked[window] if verdicts[position] is None]
        if not wanted or _take(session, window, wanted[0][1], sum(h.amount for _, h in wanted)):
            continue
        for position, hold in wanted:
            if not _take(session, window, hold, hold.amount):
                verdicts[position] = _refuse(session, requests[position], hold, moment)
    return verdicts


def _take(session: Session, window: Window, hold: Hold, amount: int) -> bool:
    """One conditional UPDATE; a window that does not exist yet is made and asked again."""
    params = [amount, *window, hold.is_hard, amount]
    if session.count(RESERVE, params) == 1:
        return True
    budget_id, starts_on, sandbox = window
    if session.count(ENSURE, [starts_on, sandbox, budget_id]) == 1:
        return session.count(RESERVE, params) == 1
    return False


def _refuse(session: Session, request: Request, hold: Hold, moment: datetime) -> HubError:
    """Give back what the request holds of earlier windows; say what had no room."""
    for earlier in request.holds:
        if earlier.window < hold.window:
            session.execute(RELEASE, [earlier.amount, *earlier.window])
    limit = next(limit for limit in request.limits if limit.id == hold.budget_id)
    rows = session.execute(STATE, list(hold.window))
    spent, reserved, current = rows[0] if rows else (0, 0, 0)
    now = Limit(limit.id, limit.scope, limit.scope_value, limit.period, limit.unit, current, True)
    return refusal(now, request.subject, moment, hold.amount, spent, reserved)


def hold(session: Session, jobs: list[tuple[int, Request]]) -> None:
    """Write the reservations of accepted jobs, whose rows exist."""
    rows = [
        {
            "job_id": job_id,
            "budget_id": held.budget_id,
            "starts_on": held.starts_on,
            "sandbox": held.sandbox,
            "amount": held.amount,
        }
        for job_id, request in jobs
        for held in request.holds
    ]
    if rows:
        session.execute(
            "INSERT INTO ai_usage_reservation (window_id, job_id, amount)"
            f" SELECT w.id, r.job_id, r.amount FROM {HELD.source}"
            f" JOIN {WINDOWS} w ON w.budget_id = r.budget_id AND w.starts_on = r.starts_on"
            " AND w.sandbox = r.sandbox",
            [HELD.pack(rows)],
        )


def close(session: Session, charges: dict[int, Charge]) -> dict[int, int]:
    """Close the reservations of ended jobs and charge their windows; what each held in nano-USD."""
    freed = session.execute(
        f"DELETE FROM ai_usage_reservation WHERE job_id IN (SELECT r.job_id FROM {CLOSED.source})"
        " RETURNING window_id, job_id, amount",
        [CLOSED.pack({"job_id": job_id} for job_id in charges)],
    )
    if not freed:
        return {}
    facts = _facts(session, {window_id for window_id, _, _ in freed})
    held: dict[int, int] = defaultdict(int)
    changes: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for window_id, job_id, amount in freed:
        unit = facts[window_id][1]
        changes[window_id][0] += amount
        changes[window_id][1] += getattr(charges[job_id], unit)
        if unit == "nano_usd":
            held[job_id] = max(held[job_id], amount)
    for window_id in sorted(changes, key=lambda window_id: facts[window_id][0]):
        session.execute(SETTLE, [*changes[window_id], window_id])
    return held


#: Window id -> (the place in the locking order, unit); facts of a window that never change.
_known: dict[int, tuple[Window, str]] = {}


def _facts(session: Session, window_ids: set[int]) -> dict[int, tuple[Window, str]]:
    for window_id in window_ids - _known.keys():
        ((budget_id, starts_on, sandbox, unit),) = session.execute(
            f"SELECT w.budget_id, w.starts_on, w.sandbox, b.unit FROM {WINDOWS} w"
            " JOIN ai_usage_budget b ON b.id = w.budget_id WHERE w.id = %s",
            [window_id],
        )
        day = starts_on if isinstance(starts_on, date) else date.fromisoformat(starts_on)
        _known[window_id] = ((budget_id, day, bool(sandbox)), unit)
    return _known
