"""A budget tells whom it would have refused before it is saved; a company shows what is left of its own."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from ai_core import pipeline
from ai_usage.models import BudgetWindow
from ai_usage.services import what_if
from megahub.audit.models import AuditEntry
from megahub.kernel import clock, loop, money
from tests import world
from tests.world import Cast

NO_WINDOWS = {"windows-TOTAL_FORMS": "0", "windows-INITIAL_FORMS": "0"}


def test_a_budget_tells_whom_it_would_have_refused(root: Client, cast: Cast) -> None:
    for _ in range(2):
        loop.run(pipeline.run(world.submit(cast.alice)))
    loop.run(pipeline.run(world.submit(cast.bob)))
    budget = world.make_budget(cast.company, usd="10")
    page = reverse("admin:ai_usage_budget_change", args=[budget.pk])
    asked = {"limit_amount": "0", "is_hard": "on", "is_active": "on", **NO_WINDOWS}

    told = root.post(page, {**asked, "_preview": "1"})
    form = told.context["adminform"].form
    assert (form.outcome.jobs, form.outcome.ranks) == (
        3, [(cast.alice.user.username, 2), (cast.bob.user.username, 1)],
    )  # fmt: skip
    assert root.post(page, asked).status_code == 200  # told instead of saved
    budget.refresh_from_db()
    assert budget.limit == 10 * money.NANO

    assert root.post(page, {**asked, "_seen": form.fingerprint}).status_code == 302
    budget.refresh_from_db()
    assert budget.limit == 0


def test_a_budget_that_refuses_nobody_is_saved_at_once(root: Client, cast: Cast) -> None:
    loop.run(pipeline.run(world.submit(cast.alice)))
    budget = world.make_budget(cast.company, usd="10")
    page = reverse("admin:ai_usage_budget_change", args=[budget.pk])
    asked = {"limit_amount": "20", "is_hard": "on", "is_active": "on", **NO_WINDOWS}

    told = root.post(page, {**asked, "_preview": "1"}).context["adminform"].form.outcome
    assert (told.jobs, told.total) == (1, 0)
    soft = root.post(page, {**asked, "limit_amount": "0", "is_hard": "", "_preview": "1"})
    assert soft.context["adminform"].form.outcome.total == 0
    assert root.post(page, asked).status_code == 302


@pytest.mark.parametrize("hard", ["on", ""])
def test_no_more_jobs_are_looked_at_than_anybody_waits_for(
    root: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch, hard: str
) -> None:
    for person in (cast.alice, cast.bob, cast.alice):
        loop.run(pipeline.run(world.submit(person)))
    page = reverse("admin:ai_usage_budget_change", args=[world.make_budget(cast.company, usd="10").pk])
    asked = {"limit_amount": "0", "is_hard": hard, "is_active": "on", **NO_WINDOWS, "_preview": "1"}

    for most, looked_at in ((2, 2), (4, 3)):
        monkeypatch.setattr(what_if, "MOST_JOBS", most)
        told = root.post(page, asked)
        outcome = told.context["adminform"].form.outcome
        assert (outcome.jobs, outcome.is_partial) == (looked_at, most == 2)
        assert ("It counts more jobs than are looked at here" in told.text) is (most == 2)
        assert outcome.total == (looked_at if hard else 0)


def test_a_company_shows_what_is_left(root: Client, cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="10")
    BudgetWindow.objects.create(
        budget=budget,
        starts_on=clock.window_start(budget.period, clock.now(), cast.company.timezone),
        spent=2 * money.NANO,
        reserved=money.NANO,
    )

    shown = root.get(reverse("admin:tenancy_company_change", args=[cast.company.pk])).text

    assert "<title>2.00 USD + 1.00 USD / 10.00 USD</title>" in shown
    assert '<rect x="0" width="200" height="8" class="hub-fill-cost"/>' in shown
    assert '<rect x="200" width="100" height="8" class="hub-fill-held"/>' in shown
    assert "7.00 USD" in shown


def test_nothing_is_changed_without_a_reason(root: Client, cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="10")
    page = reverse("admin:ai_usage_budget_change", args=[budget.pk])
    asked = {"limit_amount": "20", "is_hard": "on", "is_active": "on", **NO_WINDOWS}

    refused = root.post(page, {**asked, "audit_reason": " "})
    assert refused.context["adminform"].form.non_field_errors() == [
        "Say why: the reason is kept in the audit trail."
    ]
    gone = reverse("admin:ai_usage_budget_delete", args=[budget.pk])
    assert root.post(gone, {"post": "yes", "audit_reason": ""}).headers["Location"] == gone
    budget.refresh_from_db()
    assert budget.limit == 10 * money.NANO

    assert root.post(page, {**asked, "audit_reason": "they asked"}).status_code == 302
    entry = AuditEntry.objects.of(cast.company.pk).latest("seq")
    assert (entry.action, entry.reason) == ("budget.change", "they asked")
    assert (entry.before, entry.after) == ({"limit": 10 * money.NANO}, {"limit": 20 * money.NANO})
