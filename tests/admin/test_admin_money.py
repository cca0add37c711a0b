"""Budgets in dollars, alerts that are resolved, and the page of what has no price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_providers.models import AIModel
from ai_usage.models import AIUsageAlert, Budget, LedgerEntry
from ai_usage.services import limits
from megahub.kernel import cache, clock, loop
from tests import world
from tests.world import Cast

URL = "/admin/ai_usage/budget/"
UNPRICED = "/admin/ai_usage/ledgerentry/unpriced/"
MODEL = "mistral3"
NO_SUCH = "There is no such thing in this company."


def form(cast: Cast, **fields: Any) -> dict[str, Any]:
    return {
        "company": cast.company.pk,
        "scope": "company",
        "scope_value": "",
        "period": "month",
        "unit": "nano_usd",
        "limit_amount": "12.5",
        "is_hard": "on",
        "is_active": "on",
        "windows-TOTAL_FORMS": "0",
        "windows-INITIAL_FORMS": "0",
        **fields,
    }


def errors_of(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


def only(cast: Cast) -> Budget:
    return Budget.objects.of(cast.company.pk).exclude(scope__in=("reasoning", "provider")).get()


def run(cast: Cast, **fields: Any) -> int:
    job = world.submit(cast.alice, **fields)
    loop.run(pipeline.run(job))
    return job.pk


# Budgets ---------------------------------------------------------------------------------------


def test_it_works(root: Client, cast: Cast) -> None:
    """A limit is given in dollars, stored in nano-dollars, and holds at once."""
    assert {limit.scope for limit in loop.run(limits.of(cast.company.pk))} == {"reasoning", "provider"}

    assert root.post(f"{URL}add/", form(cast)).status_code == 302

    budget = only(cast)
    assert (budget.limit, budget.unit) == (12_500_000_000, "nano_usd")
    own = [limit for limit in loop.run(limits.of(cast.company.pk)) if limit.scope == "company"]
    assert [limit.limit for limit in own] == [12_500_000_000]
    page = root.get(f"{URL}{budget.pk}/change/")
    assert page.context["adminform"].form.initial["limit_amount"] == "12.5"


def test_a_new_limit(root: Client, cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="100")
    page = root.get(f"{URL}{budget.pk}/change/")
    assert page.context["adminform"].form.initial["limit_amount"] == "100"

    sent = form(cast, limit_amount="0.000000001", unit="jobs", period="day")
    assert root.post(f"{URL}{budget.pk}/change/", sent).status_code == 302

    budget.refresh_from_db()
    # The unit and the period stay: stored windows would be read as what they are not.
    assert (budget.limit, budget.unit, budget.period) == (1, "nano_usd", "month")


@pytest.mark.parametrize("unit", ["tokens", "jobs"])
def test_tokens_and_jobs_are_plain_numbers(root: Client, cast: Cast, unit: str) -> None:
    assert root.post(f"{URL}add/", form(cast, unit=unit, limit_amount="250000")).status_code == 302

    budget = only(cast)
    assert (budget.limit, budget.unit) == (250_000, unit)
    page = root.get(f"{URL}{budget.pk}/change/")
    assert page.context["adminform"].form.initial["limit_amount"] == 250_000


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"unit": "jobs", "limit_amount": "1.5"}, {"limit_amount": ["A whole number."]}),
        ({"limit_amount": "-1"}, {"limit_amount": ["Ensure this value is greater than or equal to 0."]}),
        ({"limit_amount": "9999999999"}, {"limit_amount": ["This is more than can be counted."]}),
        ({"scope": "brand"}, {"scope_value": [NO_SUCH]}),
        ({"scope": "brand", "scope_value": "x"}, {"scope_value": [NO_SUCH]}),
        ({"scope": "model", "scope_value": "gpt-99"}, {"scope_value": [NO_SUCH]}),
        ({"scope": "provider", "scope_value": "x"}, {"scope_value": [NO_SUCH]}),
        ({"scope_value": "7"}, {"scope_value": [NO_SUCH]}),
    ],
)  # fmt: skip
def test_a_budget_that_could_not_count_is_refused(
    root: Client, cast: Cast, fields: dict[str, str], errors: dict[str, list[str]]
) -> None:
    response = root.post(f"{URL}add/", form(cast, **fields))

    assert errors_of(response) == errors
    assert not Budget.objects.of(cast.company.pk).exists()


def test_scopes_name_what_is_the_companys(root: Client, cast: Cast) -> None:
    foreign = [
        ("brand", cast.charlie.brand.pk),
        ("user", cast.charlie.user.pk),
        ("brand", f"0{cast.brand.pk}"),
        ("brand", "9" * 30),
    ]
    own = [
        ("brand", cast.brand.pk),
        ("user", cast.bob.user.pk),
        ("model", "gpt-4o"),
        ("provider", "openai"),
        ("reasoning", ""),
    ]

    for scope, value in foreign:
        response = root.post(f"{URL}add/", form(cast, scope=scope, scope_value=str(value)))
        assert list(errors_of(response)) == ["scope_value"]
    for scope, value in own:
        response = root.post(f"{URL}add/", form(cast, scope=scope, scope_value=str(value)))
        assert response.status_code == 302
    assert Budget.objects.of(cast.company.pk).count() == 5


def test_the_present_window_stands_beside_the_limit(root: Client, cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="100")
    jobs = world.make_budget(cast.company, unit="jobs", limit=2000)
    run(cast)
    window = world.window(budget)
    assert window is not None
    budget.windows.create(starts_on=window.starts_on, spent=25_000_000_000, reserved=500_000_000)
    budget.windows.create(starts_on=date(2026, 1, 1), spent=1, reserved=1)

    response = root.get(URL, {"company__id__exact": cast.company.pk})

    admin = response.context["cl"].model_admin
    rows = {row.pk: row for row in response.context["cl"].result_list}
    played = f"{window.spent / 10**9:.6f}".rstrip("0")
    assert admin.limit_shown(rows[budget.pk]) == "100.00 USD"
    assert admin.spent(rows[budget.pk]) == f"25.00 USD (sandbox {played} USD)"
    assert admin.held(rows[budget.pk]) == "0.50 USD (sandbox 0.00 USD)"
    assert admin.used(rows[budget.pk]) == "25 %"
    assert admin.limit_shown(rows[jobs.pk]).replace(",", "") == "2000 jobs"
    assert admin.spent(rows[jobs.pk]) == "0 (sandbox 1)"


def test_a_list_of_budgets_asks_for_their_windows_once(root: Client, cast: Cast) -> None:
    counts = []
    for period in ("day", "month", "total"):
        world.make_budget(cast.company, usd="1", period=period)
        with CaptureQueriesContext(connection) as queries:
            root.get(URL, {"company__id__exact": cast.company.pk})
        counts.append(len(queries))

    # Session, user, two counts, rows, windows, the filter's company twice.
    assert counts == [8, 8, 8]


def test_windows_are_shown_in_their_unit(root: Client, cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="100")
    budget.windows.create(starts_on=date(2026, 11, 1), spent=1_234_567_891_000, reserved=0)

    for page in (f"{URL}{budget.pk}/change/", "/admin/ai_usage/budgetwindow/"):
        assert "1,234.567891 USD" in root.get(page).text


def test_deleting_a_budget_is_felt_at_once(root: Client, cast: Cast) -> None:
    budget = world.make_budget(cast.company, usd="0")
    assert "company" in {limit.scope for limit in loop.run(limits.of(cast.company.pk))}

    assert root.post(f"{URL}{budget.pk}/delete/", {"post": "yes"}).status_code == 302

    assert "company" not in {limit.scope for limit in loop.run(limits.of(cast.company.pk))}


# Alerts ----------------------------------------------------------------------------------------

ALERTS = "/admin/ai_usage/aiusagealert/"


@pytest.fixture
def alert(cast: Cast) -> AIUsageAlert:
    found: AIUsageAlert = AIUsageAlert.objects.unscoped().create(
        company=cast.company,
        alert_type="model_unpriced",
        subject="m",
        window_start=date(2026, 11, 1),
        message="No price is known.",
    )
    return found


def test_an_alert_is_resolved_with_a_note(root: Client, alert: AIUsageAlert) -> None:
    sent = {"is_resolved": "on", "resolution_note": "A price was set.", "message": "Something else."}

    assert root.post(f"{ALERTS}{alert.pk}/change/", sent).status_code == 302

    alert.refresh_from_db()
    assert (alert.is_resolved, alert.resolution_note) == (True, "A price was set.")
    assert alert.message == "No price is known."
    assert alert.resolved_at is not None
    # What is resolved stays so.
    assert root.get(f"{ALERTS}{alert.pk}/change/").status_code == 200
    assert root.post(f"{ALERTS}{alert.pk}/change/", {"resolution_note": "No."}).status_code == 403


def test_alerts_are_resolved_from_the_list(root: Client, alert: AIUsageAlert) -> None:
    response = root.post(ALERTS, {"action": "resolve", "_selected_action": [alert.pk]}, follow=True)

    assert "1 resolved." in response.text
    alert.refresh_from_db()
    assert alert.is_resolved is True
    assert alert.resolved_at is not None


# What has no price -----------------------------------------------------------------------------


@pytest.fixture
def put_back() -> Iterator[None]:
    yield
    AIModel.objects.filter(model_id=MODEL).delete()
    cache.forget_everything()


def rows_of(response: Any) -> str:
    return str(response.context["table"])


def test_unpriced_usage_is_priced_from_its_page(root: Client, cast: Cast, put_back: None) -> None:
    job = run(cast, model=MODEL)
    (entry,) = world.ledger(job)
    assert entry.cost_nano_usd is None

    before = rows_of(root.get(UNPRICED))
    today = clock.now().date()
    assert f"/admin/ai_providers/aimodel/add/?model_id={MODEL}&amp;price_since={today}" in before
    AIModel.objects.create(model_id=MODEL, input_price=1, output_price=2, price_since=today)
    assert "ready to be priced" in rows_of(root.get(UNPRICED))
    done = root.post(UNPRICED, {"price": "1"}, follow=True)

    assert f"{MODEL}: 1 job priced, " in done.text
    assert f">{MODEL}</a>" not in rows_of(done)
    _, adjustment = world.ledger(job)
    assert adjustment.cost_nano_usd == entry.input_tokens * 1000 + entry.output_tokens * 2000


def test_a_model_with_an_override_is_changed_there(root: Client, cast: Cast, put_back: None) -> None:
    run(cast, model=MODEL)
    row = AIModel.objects.create(model_id=MODEL, note="no price yet")

    assert f'href="/admin/ai_providers/aimodel/{row.pk}/change/"' in rows_of(root.get(UNPRICED))


def test_nothing_to_price_is_said(root: Client, cast: Cast) -> None:
    run(cast, model=MODEL)

    response = root.post(UNPRICED, {"price": "1"}, follow=True)

    assert "Nothing could be priced" in response.text


def test_who_may_only_look_does_not_price(staff: Callable[..., Client], cast: Cast, put_back: None) -> None:
    job = run(cast, model=MODEL)
    AIModel.objects.create(model_id=MODEL, input_price=1, output_price=2, price_since=clock.now().date())
    client = staff("view_ledgerentry")

    assert client.get(UNPRICED).status_code == 200
    assert client.post(UNPRICED, {"price": "1"}).status_code == 200
    assert staff().get(UNPRICED).status_code == 403
    assert LedgerEntry.objects.of(cast.company.pk).filter(job_id=job).count() == 1
