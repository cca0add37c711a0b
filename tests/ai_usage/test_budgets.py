"""Budgets hold under concurrency: exactly what there is room for, to the nano-dollar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction

from ai_core import pipeline
from ai_core.models import AIJob
from ai_core.services.job import Job
from ai_usage.domain.budgets import Limit, Subject, holds
from ai_usage.models import Budget, BudgetWindow
from ai_usage.services import budget_changes, budgets
from benchmarks import admission
from megahub.kernel import clock, loop, money
from megahub.kernel.errors import CostLimitExceeded, HubError
from megahub.kernel.session import Session, open_session
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
URL = "/ai/openai/chat/"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def estimate(cast: Cast) -> int:
    """What one job of ``world.submit`` holds, found by holding it."""
    probe = world.make_budget(cast.charlie.company, "100")
    world.submit(cast.charlie, later=True)
    window = world.window(probe)
    assert window is not None
    return window.reserved


def test_it_works(cast: Cast, rung: Rung) -> None:
    """200 callers at once, room for 50: exactly 50 are admitted."""
    held = estimate(cast)
    budget = world.make_budget(cast.company, limit=50 * held + held - 1)

    orders = [world.order(cast.alice, later=True) for _ in range(200)]

    async def ask() -> list[Any]:
        asking = [pipeline.submit(order) for order in orders]
        return await asyncio.gather(*asking, return_exceptions=True)

    results = loop.run(ask())

    admitted = [result for result in results if isinstance(result, Job)]
    refused = [result for result in results if isinstance(result, HubError)]
    assert (len(admitted), len(refused)) == (50, 150)
    assert {error.code for error in refused} == {"COST_LIMIT_EXCEEDED"}
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (50 * held, 0)
    assert AIJob.objects.of(cast.company.pk).count() == 50


def test_a_refusal_tells_the_figures_and_writes_nothing(api: Api, cast: Cast) -> None:
    world.make_budget(cast.company, "0.000001")

    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 403
    answer = response.json()
    assert answer.pop("reset_time").endswith("Z")
    assert answer == {
        "detail": "Estimated cost exceeds budget limits for GPT-4o Mini model",
        "error": "Estimated cost exceeds budget limits for GPT-4o Mini model",
        "error_code": "COST_LIMIT_EXCEEDED",
        "model": "gpt-4o-mini",
        "estimated_cost": "0.000603",
        "daily_budget_remaining": "0.000001",
        "budget": {"scope": "company", "period": "month", "limit": "0.000001"},
        "alternatives": [],
        "suggestions": [],
    }
    assert not AIJob.objects.of(cast.company.pk).exists()


def test_a_limit_of_zero_means_zero(api: Api, cast: Cast) -> None:
    world.make_budget(cast.company, "0")

    assert api.as_(cast.alice).post(URL, BODY).status_code == 403


def test_reasoning_models_have_a_budget_and_a_number_of_their_own(
    api: Api, cast: Cast, provider: Provider
) -> None:
    provider(completion())
    client = api.as_(cast.alice)
    assert client.post(URL, {**BODY, "model": "o3"}).status_code == 200
    budgets = Budget.objects.of(cast.company.pk).filter(scope="reasoning")
    assert sorted(budgets.values_list("unit", "limit")) == [
        ("jobs", 50),
        ("nano_usd", 100 * 10**9),
    ]

    budgets.filter(unit="jobs").update(limit=1)
    too_many = client.post(URL, {**BODY, "model": "o3"})
    budgets.filter(unit="jobs").update(limit=50)
    budgets.filter(unit="nano_usd").update(limit=1)
    too_dear = client.post(URL, {**BODY, "model": "o3"})

    assert too_many.status_code == 429
    answer = too_many.json()
    assert int(too_many.headers["retry-after"]) <= 86_400
    assert answer.pop("reset_time").endswith("00:00Z")
    assert answer == {
        "detail": "Daily reasoning quota exceeded for O3",
        "error": "Daily reasoning quota exceeded for O3",
        "error_code": "REASONING_QUOTA_EXCEEDED",
        "model": "o3",
        "daily_reasoning_jobs": 1,
        "daily_limit": 1,
        "alternatives": ["gpt-4.1", "gpt-4o", "gpt-4o-mini"],
        "suggestions": ["Use gpt-4.1 for cost optimization"],
    }
    assert too_dear.status_code == 403
    assert too_dear.json()["error_code"] == "O3_BUDGET_EXCEEDED"
    assert client.post(URL, BODY).status_code == 200


def test_a_refusal_by_one_budget_gives_back_what_the_others_held(api: Api, cast: Cast) -> None:
    roomy = world.make_budget(cast.company, "100")
    world.make_budget(cast.company, "0", period="day")

    assert api.as_(cast.alice).post(URL, BODY).status_code == 403

    window = world.window(roomy)
    assert window is None or (window.reserved, window.spent) == (0, 0)


@pytest.mark.parametrize(
    ("scope", "value", "refused"),
    [
        ("model", "gpt-4o-mini", True),
        ("model", "gpt-4o", False),
        ("provider", "openai", True),
        ("provider", "infomaniak", False),
        ("brand", "own", True),
        ("brand", "0", False),
        ("user", "own", True),
        ("user", "0", False),
    ],
)
def test_scopes(api: Api, cast: Cast, provider: Provider, scope: str, value: str, refused: bool) -> None:
    provider(completion())
    own = {"brand": cast.brand.pk, "user": cast.alice.user.pk}
    value = str(own[scope]) if value == "own" else value
    world.make_budget(cast.company, "0", scope=scope, scope_value=value)

    assert api.as_(cast.alice).post(URL, BODY).status_code == (403 if refused else 200)


def test_a_soft_budget_counts_and_does_not_refuse(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion())
    budget = world.make_budget(cast.company, "0", is_hard=False)

    assert api.as_(cast.alice).post(URL, BODY).status_code == 200

    window = world.window(budget)
    assert window is not None
    assert window.spent > 0


def test_a_limit_cut_while_a_job_runs_does_not_undo_it(cast: Cast, provider: Provider) -> None:
    provider(completion())
    budget = world.make_budget(cast.company, "5")
    job = world.submit(cast.alice)
    budget.limit = 0
    budget.save(update_fields=["limit"])

    loop.run(pipeline.run(job))

    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, world.ledger(job)[0].charged_nano_usd)


def test_a_token_budget(api: Api, cast: Cast, provider: Provider) -> None:
    provider(completion(prompt=10, output=5))
    budget = world.make_budget(
        cast.company, limit=1100, unit="tokens", scope="provider", scope_value="openai"
    )

    assert api.as_(cast.alice).post(URL, BODY).status_code == 200
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, 15)
    refused = api.as_(cast.alice).post(URL, {**BODY, "max_tokens": 1090})

    assert refused.status_code == 403
    answer = refused.json()
    assert answer["error_code"] == "QUOTA_EXCEEDED"
    assert (answer["current_usage"], answer["limit"], answer["remaining_quota"]) == (
        "15",
        "1100",
        "1085",
    )


def test_an_overrun_is_charged_as_it_is(cast: Cast, provider: Provider) -> None:
    provider(completion(prompt=10_000, output=10_000))
    budget = world.make_budget(cast.company, "5")
    job = world.submit(cast.alice, params={"max_tokens": 1})

    loop.run(pipeline.run(job))

    (entry,) = world.ledger(job)
    assert entry.charged_nano_usd == 10_000 * 150 + 10_000 * 600 > entry.reserved_nano_usd
    assert BudgetWindow.objects.get(budget=budget).spent == entry.charged_nano_usd


class Counting:
    """A session that counts what is asked of it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        self.statements += 1
        return getattr(self.session, name)


def asking(cast: Cast, amounts: list[int], *budgets_: Budget) -> list[budgets.Request]:
    """Requests for so much of each of these budgets."""
    alice = cast.alice
    subject = Subject(
        company_id=cast.company.pk,
        brand_id=None,
        user_id=alice.user.pk,
        api_key_id=None,
        provider="openai",
        model="gpt-4o-mini",
        model_name="gpt-4o-mini",
        is_reasoning=False,
        timezone="UTC",
        sandbox=True,
    )
    limits = tuple(
        Limit(b.pk, b.scope, b.scope_value, b.period, b.unit, b.limit, b.is_hard) for b in budgets_
    )
    return [
        budgets.Request(subject, limits, holds(limits, subject, clock.now(), amount, 0))
        for amount in amounts
    ]


def test_many_that_do_not_fit_cost_a_handful_of_statements(cast: Cast) -> None:
    """A company at its budget had three statements for each request, and everybody else waited."""
    wide = world.make_budget(cast.company, "1")
    narrow = world.make_budget(cast.company, "0.0000001", scope="model", scope_value="gpt-4o-mini")
    session = open_session()
    counted: Any = Counting(session)

    with session.transaction(str(cast.company.pk)):
        verdicts = budgets.reserve(
            counted, asking(cast, [40, 70, 60] + [50] * 200, wide, narrow), clock.now()
        )
        session.commit()

    session.close()
    assert [verdict is None for verdict in verdicts] == [True, False, True] + [False] * 200
    windows = [world.window(budget) for budget in (wide, narrow)]
    assert [window.reserved for window in windows if window is not None] == [100, 100]
    last = verdicts[-1]
    assert isinstance(last, CostLimitExceeded)
    assert last.facts["daily_budget_remaining"] == money.show(0)
    assert counted.statements < 15


@pytest.mark.parametrize("is_hard", [True, False])
def test_a_budget_that_was_deleted_a_moment_ago_holds_nobody(cast: Cast, is_hard: bool) -> None:
    """Processes remember budgets for seconds: the journal would look for a soft one's window for ever."""
    budget = world.make_budget(cast.company, "1", is_hard=is_hard)
    asked = asking(cast, [40, 70], budget)
    Budget.objects.of(cast.company.pk).filter(pk=budget.pk).delete()
    session = open_session()

    with session.transaction(str(cast.company.pk)):
        verdicts = budgets.reserve(session, asked, clock.now())
        session.commit()

    session.close()
    assert verdicts == [None, None]


def test_the_run_of_many_callers(live_url: str, cast: Cast, rung: Rung) -> None:
    """``python -m benchmarks.admission`` in small, against the server: exactly the room, each round."""
    found = asyncio.run(admission.run([live_url], cast.alice.token, 30, 3, 7, remembered_seconds=0))

    told = [(each.admitted, each.refused, each.other, each.adds_up) for each in found]
    assert told == [(7, 23, 0, True)] * 3


def test_of_two_changes_at_once_the_second_remembers_the_first(cast: Cast) -> None:
    """What a window was held to in between is not forgotten: it may have been used up to there."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    budget = world.make_budget(cast.company, usd="100")
    window = BudgetWindow.objects.create(budget=budget, starts_on=clock.now().date())

    def cut() -> None:
        budget_changes.change(Budget.rows.get(pk=budget.pk), {"limit": 50})
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            budget_changes.change(Budget.rows.get(pk=budget.pk), {"limit": 900 * money.NANO})
            cutting = pool.submit(cut)
            waits_for_a_lock()
        cutting.result(timeout=30)

    window.refresh_from_db()
    assert window.was_limit == 900 * money.NANO
    assert Budget.rows.get(pk=budget.pk).limit == 50


def waits_for_a_lock() -> None:
    """Until another session waits for this one's."""
    until = time.monotonic() + 20
    asked = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    while True:
        with connection.cursor() as cursor:
            cursor.execute(asked)
            if cursor.fetchone()[0]:
                return
        assert time.monotonic() < until
        time.sleep(0.02)  # the database tells nobody of a wait: it is asked again
