"""When a way to a provider is trusted, and with how much."""

from __future__ import annotations

from ai_core.domain import gates
from ai_core.domain.gates import Health, RetryBudget, next_hold


def fail(health: Health, count: int, now: float = 0.0, *, unreached: bool = False) -> None:
    for _ in range(count):
        health.failed(now, unreached=unreached)


def test_it_works() -> None:
    health = Health()
    health.answered(0.0)

    assert not health.is_bad(0.0)
    assert health.has_room(0.0)


def test_half_of_twenty_is_too_many() -> None:
    health = Health()
    for _ in range(10):
        health.answered(0.0)
    fail(health, 9)
    assert not health.is_bad(0.0)

    fail(health, 1)

    assert health.is_bad(0.0)


def test_nineteen_failures_are_no_proof() -> None:
    health = Health()
    fail(health, gates.LEAST_CALLS - 1)

    assert not health.is_bad(0.0)


def test_five_in_a_row_that_did_not_arrive() -> None:
    health = Health()
    fail(health, 4, unreached=True)
    health.answered(0.0)
    fail(health, 4, unreached=True)
    assert not health.is_bad(0.0)

    fail(health, 1, unreached=True)

    assert health.is_bad(0.0)


def test_what_is_long_ago_does_not_count() -> None:
    health = Health()
    fail(health, gates.LEAST_CALLS)

    assert not health.is_bad(gates.WINDOW_SECONDS + 0.1)
    assert health.failures == 0


def test_trust_grows_with_answers_and_goes_with_silence() -> None:
    health = Health()
    health.in_flight = gates.FIRST_CALLS
    assert not health.has_room(0.0)

    health.answered(0.0)

    assert health.has_room(0.0)
    assert not health.has_room(gates.QUIET_SECONDS + 0.1)


def test_a_probe_that_was_answered_is_a_new_beginning() -> None:
    health = Health()
    fail(health, gates.LEAST_CALLS, unreached=True)

    health.recovered()

    assert not health.is_bad(0.0)
    health.in_flight = gates.AFTER_A_PROBE
    assert not health.has_room(0.0)


def test_repeats_are_a_tenth_of_the_calls() -> None:
    budget = RetryBudget(0.1, 0.0)
    assert [budget.take(0.0) for _ in range(11)] == [True] * 10 + [False]

    for _ in range(100):
        budget.called()

    assert [budget.take(0.0) for _ in range(11)] == [True] * 10 + [False]


def test_a_lone_repeat_comes_to_its_turn() -> None:
    budget = RetryBudget(0.1, 0.0)
    while budget.take(0.0):
        pass

    assert not budget.take(9.0)
    assert budget.take(10.1)


def test_a_long_silence_saves_no_flood() -> None:
    budget = RetryBudget(0.1, 0.0)

    assert sum(budget.take(1e9) for _ in range(1000)) == 100


def test_holds_double_up_to_the_most() -> None:
    holds = [0.0]
    for _ in range(7):
        holds.append(next_hold(holds[-1], 15.0, 300.0))

    assert holds[1:] == [15.0, 30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
