"""Budgets in the journal's transactions: hold before a job runs, charge when it has ended.

Every hold is taken by a conditional UPDATE, so that no two callers are both told that there
is room; windows are always taken in the same order, so that transactions cannot wait for each other
in a ring. What a job holds is kept in its own row, so that a job that has ended holds nothing by
construction. The invariants: ``reserved`` is the sum of the open jobs' holds, ``spent`` the sum of
what the ledger charged, ``unknown_exposure`` that of the open exposures (exposures.py). What an
operator forgave of a window (``forgiven``) counts no longer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from ai_usage.domain.budgets import Hold, Limit, Subject, refusal
from megahub.kernel.errors import HubError
from megahub.kernel.session import Session

WINDOWS = "ai_usage_budgetwindow"
Window = tuple[int, date, bool]
#: Of a window: what is spent, what is held, and the limit.
State = tuple[int, int, int]

ENSURE = (
    f"INSERT INTO {WINDOWS} (budget_id, starts_on, sandbox, reserved, spent)"
    " SELECT id, %s, %s, 0, 0 FROM ai_usage_budget WHERE id = %s ON CONFLICT DO NOTHING"
)
RESERVE = (
    f"UPDATE {WINDOWS} SET reserved = reserved + %s FROM ai_usage_budget b"
    f" WHERE b.id = {WINDOWS}.budget_id AND budget_id = %s AND starts_on = %s AND sandbox = %s"
    ' AND (NOT %s OR spent - forgiven + reserved + unknown_exposure + %s <= b."limit")'
)
RELEASE = (
    f"UPDATE {WINDOWS} SET reserved = reserved - %s"
    " WHERE budget_id = %s AND starts_on = %s AND sandbox = %s"
)
CHARGE = (
    f"UPDATE {WINDOWS} SET reserved = reserved - %s, spent = spent + %s,"
    " unknown_exposure = unknown_exposure + %s"
    " WHERE budget_id = %s AND starts_on = %s AND sandbox = %s"
)
#: An update that changes nothing: both databases know how to lock a row with it.
LOCK = f"UPDATE {WINDOWS} SET spent = spent WHERE budget_id = %s AND starts_on = %s AND sandbox = %s"
STATE = (
    f'SELECT w.spent - w.forgiven, w.reserved + w.unknown_exposure, b."limit" FROM {WINDOWS} w'
    " JOIN ai_usage_budget b ON b.id = w.budget_id"
    " WHERE w.budget_id = %s AND w.starts_on = %s AND w.sandbox = %s"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A job that asks for room: who, the budgets that were matched, and how much of each window."""

    subject: Subject
    limits: tuple[Limit, ...]
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Charge:
    """What an ended attempt counts against its job's windows, by the unit of each.

    ``releases`` gives back what the job held. ``exposes`` keeps as much as that (1) as the exposure
    of an attempt whose outcome is unknown, or gives such an exposure back (-1).
    """

    nano_usd: int = 0
    tokens: int = 0
    jobs: int = 0
    releases: bool = True
    exposes: int = 0


def reserve(session: Session, requests: list[Request], moment: datetime) -> list[HubError | None]:
    """Hold room for each request in all of its windows, or in none: the refusal, or None.

    The sum of a window's requests is tried first; a window without room for all of them is shared out
    in order, so that each gets a true answer. However many ask, a window costs a handful of statements:
    a company that runs against its budget does not hold up the others.
    """
    verdicts: list[HubError | None] = [None] * len(requests)
    asked: dict[Window, list[tuple[int, Hold]]] = defaultdict(list)
    given_back: dict[Window, int] = defaultdict(int)
    for position, request in enumerate(requests):
        for hold in request.holds:
            asked[hold.window].append((position, hold))
    for window in sorted(asked):
        wanted = [(position, hold) for position, hold in asked[window] if verdicts[position] is None]
        if not wanted or _take(session, window, wanted[0][1], sum(h.amount for _, h in wanted)):
            continue
        for position, hold, state in _share_out(session, window, wanted):
            verdicts[position] = _refusal(requests[position], hold, state, moment)
            for earlier in requests[position].holds:
                if earlier.window < window:
                    given_back[earlier.window] += earlier.amount
    for window in sorted(given_back):
        session.execute(RELEASE, [given_back[window], *window])
    return verdicts


def require(session: Session, requests: list[Request]) -> None:
    """``reserve`` for all of the requests; the transaction fails (NotMet) if one window has no room."""
    wanted: dict[Window, int] = defaultdict(int)
    hard = {}
    for request in requests:
        for hold in request.holds:
            wanted[hold.window] += hold.amount
            hard[hold.window] = hold.is_hard
    for window in sorted(wanted):
        session.require(RESERVE, [wanted[window], *window, hard[window], wanted[window]])


def may_be_full(requests: list[Request]) -> bool:
    """Whether one of the windows refused somebody a moment ago."""
    now = time.monotonic()
    return any(_full.get(hold.window, 0) > now for request in requests for hold in request.holds)


#: Windows that refused, and until when that is remembered: a hint for the order of work, never a verdict.
_full: dict[Window, float] = {}
FULL_SECONDS = 1.0
MANY = 10_000


def _take(session: Session, window: Window, hold: Hold, amount: int) -> bool:
    """One conditional UPDATE; a window that does not exist yet is made and asked again."""
    params = [amount, *window, hold.is_hard, amount]
    if session.count(RESERVE, params) == 1:
        return True
    budget_id, starts_on, sandbox = window
    if session.count(ENSURE, [starts_on, sandbox, budget_id]) == 1:
        return session.count(RESERVE, params) == 1
    return False


def _share_out(
    session: Session, window: Window, wanted: list[tuple[int, Hold]]
) -> list[tuple[int, Hold, State]]:
    """Hold room for those who come first; the others, each with the state that it met."""
    if len(_full) > MANY:
        _full.clear()
    _full[window] = time.monotonic() + FULL_SECONDS
    session.execute(LOCK, list(window))
    while True:
        rows = session.rows(STATE, list(window))
        if not rows:
            return []  # the budget was deleted a moment ago: it holds nobody
        spent, reserved, limit = rows[0]
        taken, refused = 0, []
        for position, hold in wanted:
            if not hold.is_hard or spent + reserved + taken + hold.amount <= limit:
                taken += hold.amount
            else:
                refused.append((position, hold, (spent, reserved + taken, limit)))
        hard = all(hold.is_hard for _, hold in wanted)
        # The window is locked; its limit is not, and may have been cut since it was read.
        if not taken or session.count(RESERVE, [taken, *window, hard, taken]) == 1:
            return refused


def _refusal(request: Request, hold: Hold, state: State, moment: datetime) -> HubError:
    """What had no room, in the words of its budget."""
    spent, reserved, current = state
    limit = next(limit for limit in request.limits if limit.id == hold.budget_id)
    now = Limit(limit.id, limit.scope, limit.scope_value, limit.period, limit.unit, current, True)
    return refusal(now, request.subject, moment, hold.amount, max(0, spent), reserved)


def as_stored(request: Request) -> bytes:
    """What a job holds, as its row keeps it: JSON of ``[budget id, window's start, amount, unit]``."""
    return orjson.dumps([[h.budget_id, h.starts_on, h.amount, h.unit] for h in request.holds])


def held(holds: list[list[Any]]) -> int:
    """What stored holds keep of budgets in nano-USD."""
    return max((amount for _, _, amount, unit in holds if unit == "nano_usd"), default=0)


def charge(session: Session, ended: list[tuple[list[list[Any]], bool, Charge]]) -> None:
    """Give back what ended jobs held, and charge their windows: (stored holds, sandbox, charge) each.

    Windows are taken in their order, those of all of the jobs together.

    To be asked last: windows are everybody's, and stay locked until the transaction ends.
    """
    changes: dict[Window, list[int]] = defaultdict(lambda: [0, 0, 0])
    for holds, sandbox, charge in ended:
        for budget_id, starts_on, amount, unit in holds:
            change = changes[budget_id, date.fromisoformat(starts_on), sandbox]
            change[0] += amount * charge.releases
            change[1] += getattr(charge, unit)
            change[2] += amount * charge.exposes * (unit != "jobs")
    for window in sorted(changes):
        session.execute(CHARGE, [*changes[window], *window])


def lock(session: Session, requests: list[Request], holds: list[tuple[list[list[Any]], bool]]) -> None:
    """Take all windows of these requests and stored holds at once, in everybody's order.

    For a transaction that gives back and reserves: whichever of both comes first, another one that
    wants the same windows waits behind it, and never in a ring. Windows that are not there yet are made.
    """
    wanted = {hold.window for request in requests for hold in request.holds}
    for stored, sandbox in holds:
        wanted |= {(budget_id, date.fromisoformat(day), sandbox) for budget_id, day, _, _ in stored}
    for budget_id, starts_on, sandbox in sorted(wanted):
        session.execute(ENSURE, [starts_on, sandbox, budget_id])
        session.execute(LOCK, [budget_id, starts_on, sandbox])
