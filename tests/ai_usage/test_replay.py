"""A limit against what was used: jobs in their order, window by window."""

from __future__ import annotations

from ai_usage.domain.replay import Use, replay


def test_it_works() -> None:
    uses = [Use(1, 4, "a"), Use(1, 4, "b"), Use(1, 2, "a"), Use(2, 5, "b"), Use(2, 6, "b")]

    outcome = replay(uses, 10, {1: 3})

    # 3 were used: 4 fit, 4 more do not, 2 do; another window begins at nothing.
    assert (outcome.jobs, outcome.ranks, outcome.total) == (5, [("b", 2)], 2)


def test_exactly_the_limit_fits() -> None:
    assert replay([Use(1, 10, "a")], 10, {}).total == 0
    assert replay([Use(1, 10, "a")], 9, {}).total == 1
