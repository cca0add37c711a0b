"""The states of a job and the moves between them.

    pending ──claim──▶ running ──settle──▶ completed | failed | timeout | cancelled
       ▲                  │
       └─────requeue──────┘            pending ──cancel──▶ cancelled

The four ends never move (a trigger in the database refuses it as well). A running job that is to be
cancelled keeps its state and carries ``cancel_requested_at`` until its process lets go of it.
Sources: reference/megahub-shapes.md (names, moves), reference/reliability.md section 2.
"""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["pending", "running", "completed", "failed", "cancelled", "timeout"]
Event = Literal["claim", "complete", "fail", "expire", "cancel", "requeue"]

STATES: tuple[State, ...] = get_args(State)
ENDS: frozenset[State] = frozenset(("completed", "failed", "cancelled", "timeout"))

TABLE: dict[tuple[State, Event], State] = {
    ("pending", "claim"): "running",
    ("pending", "cancel"): "cancelled",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("running", "expire"): "timeout",
    ("running", "cancel"): "cancelled",
    ("running", "requeue"): "pending",
}


class IllegalMove(ValueError):
    """A move that ``TABLE`` does not have."""


def advance(state: State, event: Event) -> State:
    """The state after ``event``. Raises IllegalMove."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalMove(f"{event} of a job that is {state}") from None
