"""Budgets against a plain model: groups that ask, jobs that end, unknown outcomes, limits that are cut.

How much is played: ``tests/machines.py``.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ai_usage.domain.budgets import Hold, Limit, Subject
from ai_usage.models import Budget, BudgetWindow
from ai_usage.services import budgets
from ai_usage.services.budgets import Charge, Request
from megahub.kernel import clock, scope
from tests import world
from tests.machines import SCALE

NUMBERS = itertools.count(600_000)
AMOUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=6)
pick = st.integers(0, 10**6)


class Budgets(RuleBasedStateMachine):
    """Two hard budgets and a soft one over the same jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.cast = world.make_cast(next(NUMBERS))
        company = self.cast.company
        rows = [
            world.make_budget(company, limit=100, unit="nano_usd"),
            world.make_budget(company, limit=150, unit="nano_usd", period="total"),
            world.make_budget(company, limit=50, unit="nano_usd", period="day", is_hard=False),
        ]
        self.limits = tuple(
            Limit(row.pk, row.scope, row.scope_value, row.period, row.unit, row.limit, row.is_hard)
            for row in rows
        )
        self.started = clock.now()
        self.opened = world.session()
        self.session = self.opened.__enter__()
        self.most = {row.pk: row.limit for row in rows}
        self.reserved = dict.fromkeys(self.most, 0)
        self.spent = dict.fromkeys(self.most, 0)
        self.exposed = dict.fromkeys(self.most, 0)
        self.open: list[tuple[Request, int]] = []
        self.unknown: list[tuple[Request, int]] = []

    def _request(self, amount: int) -> Request:
        subject = Subject(self.cast.company.pk, None, 1, None, "openai", "m", "m", False, "UTC", False)
        holds = tuple(
            Hold(
                each.id,
                clock.window_start(each.period, self.started, "UTC"),
                False,
                amount,
                each.unit,
                each.is_hard,
            )
            for each in sorted(self.limits, key=lambda each: each.id)
        )
        return Request(subject, self.limits, holds)

    def _fits(self, budget: int, amount: int) -> bool:
        hard = next(each.is_hard for each in self.limits if each.id == budget)
        used = self.reserved[budget] + self.spent[budget] + self.exposed[budget]
        return not hard or used + amount <= self.most[budget]

    @rule(amounts=AMOUNTS)
    def ask_together(self, amounts: list[int]) -> None:
        """A group is let in whole where it fits, else one by one, budget by budget."""
        requests = [self._request(amount) for amount in amounts]
        with self.session.transaction(scope.EVERYBODY):
            verdicts = budgets.reserve(self.session, requests, clock.now())
        let_in = set(range(len(amounts)))
        for budget in sorted(self.most):
            asking = sorted(let_in)
            if self._fits(budget, sum(amounts[each] for each in asking)):
                self._reserve(budget, sum(amounts[each] for each in asking))
                continue
            for each in asking:
                if self._fits(budget, amounts[each]):
                    self._reserve(budget, amounts[each])
                else:
                    let_in.discard(each)
                    for earlier in (other for other in self.most if other < budget):
                        self._reserve(earlier, -amounts[each])
        assert {position for position, verdict in enumerate(verdicts) if verdict is None} == let_in
        self.open += [(requests[each], amounts[each]) for each in sorted(let_in)]

    def _reserve(self, budget: int, amount: int) -> None:
        self.reserved[budget] += amount

    @precondition(lambda self: self.open)
    @rule(which=pick, cost=st.integers(0, 80))
    def settle(self, which: int, cost: int) -> None:
        """What was used is charged, be it more than was held."""
        request, amount = self.open.pop(which % len(self.open))
        self._charge(request, Charge(cost, 0, 1))
        for budget in self.most:
            self.reserved[budget] -= amount
            self.spent[budget] += cost

    @precondition(lambda self: self.open)
    @rule(which=pick, is_over=st.booleans())
    def lose(self, which: int, is_over: bool) -> None:
        """An attempt's outcome is unknown; its job has ended, or is tried again."""
        position = which % len(self.open)
        request, amount = self.open[position]
        self._charge(request, Charge(releases=is_over, exposes=1))
        self.unknown.append((request, amount))
        for budget in self.most:
            self.reserved[budget] -= amount * is_over
            self.exposed[budget] += amount
        if is_over:
            del self.open[position]

    @precondition(lambda self: self.unknown)
    @rule(which=pick, cost=st.integers(0, 80))
    def hear_late(self, which: int, cost: int) -> None:
        request, amount = self.unknown.pop(which % len(self.unknown))
        self._charge(request, Charge(cost, 0, 0, releases=False, exposes=-1))
        for budget in self.most:
            self.exposed[budget] -= amount
            self.spent[budget] += cost

    @rule(which=pick, limit=st.integers(0, 200))
    def cut(self, which: int, limit: int) -> None:
        """An administrator changes a limit while jobs run."""
        budget = sorted(self.most)[which % len(self.most)]
        Budget.objects.unscoped().filter(pk=budget).update(limit=limit)
        self.most[budget] = limit
        self.limits = tuple(
            replace(each, limit=limit) if each.id == budget else each for each in self.limits
        )

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)

    def _charge(self, request: Request, charge: Charge) -> None:
        stored: list[list[Any]] = [
            [hold.budget_id, hold.starts_on.isoformat(), hold.amount, hold.unit] for hold in request.holds
        ]
        with self.session.transaction(scope.EVERYBODY):
            budgets.charge(self.session, [(stored, False, charge)])

    @invariant()
    def windows_agree(self) -> None:
        rows = {row.budget_id: row for row in BudgetWindow.objects.filter(budget_id__in=self.most)}
        for budget in self.most:
            row = rows.get(budget) or BudgetWindow()
            found = (row.reserved, row.spent, row.unknown_exposure)
            assert found == (self.reserved[budget], self.spent[budget], self.exposed[budget])


@pytest.mark.timeout(0)
def test_budgets(sandbox_url: str) -> None:
    run_state_machine_as_test(Budgets, settings=SCALE)
