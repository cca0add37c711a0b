"""Amending a pending job takes windows in everybody's order, so that no two transactions wait in a ring."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from ai_core import pipeline
from ai_usage.models import BudgetWindow
from ai_usage.services import budgets
from megahub.kernel import loop
from tests import world
from tests.world import Cast

Rung = list[tuple[str, tuple[Any, ...], str]]


def amend(cast: Cast, pk: int) -> None:
    new = world.order(cast.alice, "Something else.", model="gpt-4o", later=True)
    loop.run(pipeline.amend(new, pk, world.row(pk).revision))


def test_windows_are_taken_in_order(cast: Cast, rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old model's budget comes after the new one's: giving back first would take them backwards."""
    late = world.make_budget(cast.company, "5", scope="model", scope_value="gpt-4o")
    early = world.make_budget(cast.company, "5", scope="model", scope_value="gpt-4o-mini")
    assert late.pk < early.pk
    job = world.submit(cast.alice, later=True)
    taken: list[int] = []
    charge, lock = budgets.charge, budgets.lock

    class Watched:
        def __init__(self, session: Any) -> None:
            self.session = session

        def execute(self, statement: str, params: Any) -> None:
            taken.extend([params[0]] if statement == budgets.LOCK else [])
            self.session.execute(statement, params)

    monkeypatch.setattr(budgets, "lock", lambda session, *what: lock(Watched(session), *what))
    monkeypatch.setattr(budgets, "charge", lambda *what: taken.append(0) or charge(*what))
    amend(cast, job.pk)

    assert taken[-1] == 0  # everything was locked before anything was given back
    assert taken[:-1] == sorted(taken[:-1])
    assert {late.pk, early.pk} <= set(taken)
    window = world.window(early)
    assert window is not None
    assert window.reserved == 0
    assert world.window(late).reserved == world.row(job).holds[-1][2]  # type: ignore[union-attr]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_two_that_meet_wait_for_each_other_in_turn(cast: Cast, rung: Rung) -> None:
    """Another transaction holds the first window and then wants the second: the amendment waits for it."""
    first = world.make_budget(cast.company, "5", scope="model", scope_value="gpt-4o")
    second = world.make_budget(cast.company, "5", scope="model", scope_value="gpt-4o-mini")
    jobs = [world.submit(cast.alice, model=model, later=True) for model in ("gpt-4o-mini", "gpt-4o")]
    failed: list[BaseException] = []

    def amended() -> None:
        try:
            amend(cast, jobs[0].pk)
        except BaseException as error:
            failed.append(error)

    with transaction.atomic():
        BudgetWindow.objects.select_for_update().get(budget=first)
        amending = threading.Thread(target=amended)
        amending.start()
        amending.join(timeout=0.5)
        assert amending.is_alive()
        BudgetWindow.objects.select_for_update().get(budget=second)
    amending.join(timeout=10)

    assert failed == []
    assert world.row(jobs[0]).model == "gpt-4o"
