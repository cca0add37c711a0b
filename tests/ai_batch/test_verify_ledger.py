"""``verify_ledger``: silent while all is well, and each invariant named when it is broken."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from ai_batch import tasks
from ai_batch.domain.results import ledger_number
from ai_batch.models import Batch, Line
from ai_batch.services import verification
from ai_core import pipeline
from ai_core.models import AIJob
from ai_usage.models import AIUsageAlert, Budget, BudgetWindow, LedgerEntry
from ai_usage.services import quotas
from megahub.kernel import loop
from tests import world
from tests.ai_batch.conftest import line, work
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


def off(cast: Cast) -> list[tuple[str, int]]:
    """What is off of the company, rollups apart (they are folded by a clock of their own)."""
    found = [each for each in verification.verify() if each.company_id == cast.company.pk]
    return [(each.invariant, each.by) for each in found if each.invariant != "rollup"]


@pytest.fixture
def spent(cast: Cast, provider: Provider, rung: Rung) -> Budget:
    """A budget of which one job has spent and another one holds."""
    provider(completion("Hi.", prompt=10, output=5))
    budget = world.make_budget(cast.company, "5")
    loop.run(pipeline.run(world.submit(cast.alice)))
    world.submit(cast.alice, later=True)
    return budget


def change(budget: Budget, **values: Any) -> None:
    assert BudgetWindow.objects.filter(budget=budget).update(**values) == 1


def test_it_works(cast: Cast, spent: Budget) -> None:
    row = world.window(spent)
    assert row is not None
    assert row.spent > 0
    assert row.reserved > 0
    assert off(cast) == []


def test_i1_a_window_holds_what_nobody_holds(cast: Cast, spent: Budget) -> None:
    change(spent, reserved=F("reserved") + 7)
    assert off(cast) == [("I1", 7)]
    change(spent, reserved=F("reserved") - 7, unknown_exposure=F("unknown_exposure") + 3)
    assert off(cast) == [("I1", 3)]


def test_i2_a_window_spent_what_the_ledger_does_not_know(cast: Cast, spent: Budget) -> None:
    change(spent, spent=F("spent") - 1)
    assert off(cast) == [("I2", -1)]


def test_i3_a_window_is_beyond_its_limit(cast: Cast, spent: Budget) -> None:
    row = world.window(spent)
    assert row is not None
    taken = row.spent + row.reserved
    Budget.objects.unscoped().filter(pk=spent.pk).update(limit=taken - 1)
    assert off(cast) == [("I3", 1)]


def test_i3_a_limit_that_was_cut_is_judged_by_what_held_before(cast: Cast, spent: Budget) -> None:
    row = world.window(spent)
    assert row is not None
    taken = row.spent + row.reserved
    before = spent.limit

    spent.limit = taken - 2
    spent.save()
    assert off(cast) == []
    spent.is_active = True
    spent.save()
    change(spent, spent=F("spent") + before)

    assert off(cast) == [("I2", before), ("I3", taken)]


def test_i3_what_was_soft_for_a_while_is_not_judged_in_that_window(cast: Cast, spent: Budget) -> None:
    spent.is_hard = False
    spent.save()
    spent.is_hard, spent.limit = True, 1
    spent.save()

    assert off(cast) == []


def test_i3_a_quota_that_was_cut(cast: Cast, spent: Budget) -> None:
    quotas.set_limits(cast.company.pk, "openai", {"nano_usd": 1})

    assert off(cast) == []


def test_i4_a_line_that_was_closed_and_not(api: Api, cast: Cast, provider: Provider, rung: Rung) -> None:
    batch = ended_batch(api, cast)
    line = batch.lines.get()
    assert (line.status, off(cast)) == ("completed", [])

    Line.objects.filter(pk=line.pk).update(status="running")
    assert ("I4", 1) in off(cast)
    Line.objects.filter(pk=line.pk).update(status="completed")
    number = ledger_number(line.pk)
    twin = LedgerEntry.objects.of(cast.company.pk).get(job_id=number)
    other = Line.objects.create(
        batch=batch, line_no=2, custom_id="b", offset=0, length=1, slice_no=0, status="completed",
        estimated_nano_usd=0, estimated_tokens=0,
    )  # fmt: skip

    assert twin.kind == "settle"
    assert [each for each in off(cast) if each[0] == "I4"] == [("I4", -1)]
    other.delete()


def ended_batch(api: Api, cast: Cast, **body: Any) -> Batch:
    """A batch of one line that the hub's engine has run."""
    asked = {"endpoint": "/v1/chat/completions", "engine": "hub", "requests": [line("a", **body)]}
    made = api.as_(cast.alice).post("/api/batch/create", asked)
    assert made.status_code == 201, made.text
    return work(Batch.objects.of(cast.company.pk).get(batch_id=made.json()["batch"]["id"]))


def test_i4_a_job_that_was_never_closed(cast: Cast, spent: Budget) -> None:
    job = AIJob.objects.of(cast.company.pk).get(status="pending")
    other = LedgerEntry.objects.of(cast.company.pk).get()
    fields = {f.attname: getattr(other, f.attname) for f in other._meta.concrete_fields}
    closing = {**fields, "id": None, "job_id": job.pk, "kind": "void", "charged_nano_usd": 0}
    LedgerEntry.objects.unscoped().create(**closing)
    assert off(cast) == [("I4", 1)]


def test_the_command_names_it_and_fails(cast: Cast, spent: Budget) -> None:
    change(spent, spent=F("spent") + 5)
    said = StringIO()

    with pytest.raises(CommandError):
        call_command("verify_ledger", stdout=said)

    assert f"I2 company {cast.company.pk}" in said.getvalue()
    assert "spent: +5" in said.getvalue()


def test_beat_raises_an_alert_and_resolves_it(cast: Cast, spent: Budget) -> None:
    rows = AIUsageAlert.objects.of(cast.company.pk).filter(alert_type="ledger_off")
    change(spent, spent=F("spent") + 5)

    tasks.verify_ledger()
    tasks.verify_ledger()

    row = rows.get()
    assert (row.severity, row.is_resolved) == ("critical", False)
    assert row.message == "Budgets, jobs and ledger differ in 1 places (I2)."
    change(spent, spent=F("spent") - 5)
    tasks.verify_ledger()
    assert rows.get().is_resolved
