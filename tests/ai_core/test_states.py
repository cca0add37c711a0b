"""The states of a job: every move there is, and that there are no others."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from ai_core.domain.states import ENDS, TABLE, Event, IllegalMove, State, advance

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)
#: megahub-shapes.md, and a job that is given back to be tried again.
MOVES: dict[tuple[State, Event], State] = {
    ("pending", "claim"): "running",
    ("pending", "cancel"): "cancelled",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("running", "expire"): "timeout",
    ("running", "cancel"): "cancelled",
    ("running", "requeue"): "pending",
}


def test_it_works() -> None:
    assert advance("pending", "claim") == "running"


@pytest.mark.parametrize(("state", "event"), list(itertools.product(STATES, EVENTS)))
def test_every_state_and_event(state: State, event: Event) -> None:
    if (state, event) in MOVES:
        assert advance(state, event) == MOVES[state, event]
        return
    with pytest.raises(IllegalMove) as caught:
        advance(state, event)
    assert str(caught.value) == f"{event} of a job that is {state}"


def test_the_names_are_the_clients() -> None:
    assert STATES == ("pending", "running", "completed", "failed", "cancelled", "timeout")
    assert set(STATES) - ENDS == {"pending", "running"}


def test_the_ends_never_move() -> None:
    assert {state for state, _ in TABLE} & ENDS == set()


def test_every_end_can_be_reached() -> None:
    reached: set[State] = {"pending"}
    for _ in STATES:
        reached |= {after for (before, _), after in TABLE.items() if before in reached}

    assert reached == set(STATES)
