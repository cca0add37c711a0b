"""Jobs in the admin: light lists, readable documents, and cancelling."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_core.models import AIJob, Attempt
from ai_openai.models import OpenAIJob
from ai_usage.models import AIJobUsage, LedgerEntry
from megahub.audit.models import AuditEntry
from megahub.kernel import clock, loop
from tests import world
from tests.world import Cast

URL = "/admin/ai_core/aijob/"
Rung = list[tuple[str, tuple[Any, ...], str]]
NASTY = "<script>alert('x')</script> & \"quotes\""


def finished(cast: Cast, text: str = "Say hello.", **fields: Any) -> AIJob:
    return world.row(loop.run(pipeline.run(world.submit(cast.alice, text, **fields))))


def listed(client: Client, cast: Cast, **query: Any) -> list[str]:
    """The job ids that a filtered list of the company shows."""
    response = client.get(URL, {"company__id__exact": cast.company.pk, **query})
    assert response.status_code == 200
    return [job.job_id for job in response.context["cl"].result_list]


def test_it_works(root: Client, cast: Cast) -> None:
    job = finished(cast)

    response = root.get(f"{URL}{job.pk}/change/")

    assert response.status_code == 200
    usage = AIJobUsage.objects.of(cast.company.pk).get(ai_job=job)
    attempt = Attempt.objects.get(job=job)
    (entry,) = world.ledger(job.pk)
    shown = response.text
    for text in (job.job_id, cast.company.name, cast.brand.name, cast.alice.user.username):
        assert text in shown
    assert (attempt.phase, attempt.source) == ("done", "sandbox")
    assert f'href="/admin/ai_usage/ledgerentry/{entry.pk}/change/"' in shown
    assert usage.total_cost_nano_usd == entry.cost_nano_usd


def test_documents_are_indented_and_escaped(root: Client, cast: Cast) -> None:
    job = finished(cast, NASTY)

    shown = root.get(f"{URL}{job.pk}/change/").text

    assert "<script>alert('x')" not in shown
    escaped = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; \\&quot;quotes\\&quot;"
    assert f"      &quot;content&quot;: &quot;{escaped}&quot;" in shown


def test_a_long_document_is_cut(root: Client, cast: Cast) -> None:
    job = finished(cast, "x" * 150_000)

    shown = root.get(f"{URL}{job.pk}/change/").text

    assert "x" * 101_000 not in shown
    assert re.search(r"… \(150,\d{3} characters\)", shown)


def test_filters(root: Client, cast: Cast, rung: Rung) -> None:
    done = finished(cast).job_id
    waiting = world.submit(cast.alice, later=True, priority="urgent", model="gpt-4.1").job_ref

    assert listed(root, cast) == [waiting, done]
    assert listed(root, cast, status__exact="pending") == [waiting]
    assert listed(root, cast, priority__exact="urgent") == [waiting]
    assert listed(root, cast, model="gpt-4o-mini") == [done]
    assert listed(root, cast, sandbox__exact="0") == []
    assert listed(root, cast, created_at__year=clock.now().year) == [waiting, done]
    assert listed(root, cast, created_at__year=2001) == []


def test_search(root: Client, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True, description="The quarterly summary")
    other = world.submit(cast.alice, later=True)

    assert listed(root, cast, q="quarterly SUMMARY") == [job.job_ref]
    assert listed(root, cast, q=other.job_ref) == [other.job_ref]


def test_a_jobs_list_loads_no_document(root: Client, cast: Cast) -> None:
    finished(cast)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        listed(root, cast)

    rows = [query["sql"] for query in queries if '"ai_core_aijob"."job_id"' in query["sql"]]
    assert len(rows) == 1
    for column in ("input_data", "response", "params", "holds", "error", "warnings"):
        assert f'"ai_core_aijob"."{column}"' not in rows[0]


@pytest.mark.parametrize(
    ("page", "count"),
    [
        # Session, user, rows, the filter's company (checked, then named); the days of the date bar.
        ("ai_core/aijob/", 7),
        ("ai_usage/ledgerentry/", 5),
        ("ai_usage/aijobusage/", 5),
        ("ai_openai/openaijob/", 5),
    ],
)
def test_lists_of_jobs_ask_the_same_for_one_and_for_five(
    root: Client, cast: Cast, page: str, count: int
) -> None:
    for jobs in (1, 5):
        while AIJob.objects.of(cast.company.pk).count() < jobs:
            finished(cast)
        with CaptureQueriesContext(connection) as queries:
            response = root.get(f"/admin/{page}", {"company__id__exact": cast.company.pk})
        assert len(response.context["cl"].result_list) == jobs
        assert len(queries) == count, [query["sql"] for query in queries]


def test_the_list_of_attempts_joins_no_document(root: Client, cast: Cast) -> None:
    for _ in range(3):
        finished(cast)

    with CaptureQueriesContext(connection) as queries:
        response = root.get("/admin/ai_core/attempt/", {"job__company__id__exact": cast.company.pk})

    assert len(response.context["cl"].result_list) == 3
    assert len(queries) == 5
    assert not any("input_data" in query["sql"] or '"response"' in query["sql"] for query in queries)


def test_openai_jobs_show_their_parameters(root: Client, cast: Cast) -> None:
    job = finished(cast, params={"temperature": 0.5, "max_tokens": 77})

    row = OpenAIJob.objects.of(cast.company.pk).get(ai_job=job)
    shown = root.get(f"/admin/ai_openai/openaijob/{row.pk}/change/").text

    assert f'href="/admin/ai_core/aijob/{job.pk}/change/"' in shown
    assert (row.temperature, row.max_tokens) == (0.5, 77)
    assert ">77</div>" in shown


# Cancelling ------------------------------------------------------------------------------------


def test_cancelling_from_the_list(root: Client, cast: Cast, rung: Rung) -> None:
    budget = world.make_budget(cast.company, "5")
    waiting = [world.submit(cast.alice, later=True) for _ in range(2)]
    done = finished(cast)
    chosen = [waiting[0].pk, waiting[1].pk, done.pk]

    response = root.post(URL, {"action": "cancel", "_selected_action": chosen}, follow=True)

    assert "2 jobs cancelled." in response.text
    assert [world.row(job).status for job in waiting] == ["cancelled", "cancelled"]
    assert world.row(done.pk).status == "completed"
    window = world.window(budget)
    assert window is not None
    assert window.reserved == 0
    logged = LogEntry.objects.filter(content_type__model="aijob", object_id=str(waiting[0].pk))
    assert [entry.get_change_message() for entry in logged] == ["Cancelled."]


def test_cancelling_on_a_page_asks_first(root: Client, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)
    page = f"{URL}{job.pk}/cancel_this/"

    asked = root.get(page)
    assert "Cancel the job?" in asked.text
    assert world.row(job).status == "pending"
    done = root.post(page, {"_form_submitted": "True"})

    assert done["HX-Redirect"] == f"{URL}{job.pk}/change/"
    assert world.row(job).status == "cancelled"
    (entry,) = world.ledger(job)
    assert (entry.kind, entry.charged_nano_usd) == ("void", 0)


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_is_cancelled_without_a_reason(root: Client, cast: Cast, rung: Rung, reason: str) -> None:
    job = world.submit(cast.alice, later=True)
    asked = {"action": "cancel", "_selected_action": [job.pk], "audit_reason": reason}

    refused = root.post(URL, asked, follow=True)
    assert "Say why: the reason is kept in the audit trail." in refused.text
    assert 'name="audit_reason"' in refused.text
    page = f"{URL}{job.pk}/cancel_this/"
    assert 'name="audit_reason"' in root.get(page).text
    again = root.post(page, {"_form_submitted": "True", "audit_reason": reason})

    assert "Say why: the reason is kept in the audit trail." in again.text
    assert world.row(job).status == "pending"
    assert (
        not AuditEntry.objects.unscoped().filter(company_id=cast.company.pk, action="job.cancel").exists()
    )
    root.post(page, {"_form_submitted": "True", "audit_reason": "it was a mistake"})
    (entry,) = AuditEntry.objects.unscoped().filter(company_id=cast.company.pk, action="job.cancel")
    assert entry.reason == "it was a mistake"


def test_what_has_ended_is_not_offered(root: Client, cast: Cast) -> None:
    job = finished(cast)

    assert f"{URL}{job.pk}/cancel_this/" not in root.get(f"{URL}{job.pk}/change/").text
    assert root.post(f"{URL}{job.pk}/cancel_this/", {"_form_submitted": "True"}).status_code == 403


def test_who_may_only_look_does_not_cancel(staff: Callable[..., Client], cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)
    client = staff("view_aijob")

    assert client.get(f"{URL}{job.pk}/change/").status_code == 200
    client.post(URL, {"action": "cancel", "_selected_action": [job.pk]})
    refused = client.post(f"{URL}{job.pk}/cancel_this/", {"_form_submitted": "True"})

    assert refused.status_code == 403
    assert world.row(job).status == "pending"
    assert not LedgerEntry.objects.of(cast.company.pk).exists()


def test_a_job_whose_api_key_is_gone_still_opens(root: Client, cast: Cast, rung: Rung) -> None:
    job = world.submit(cast.alice, later=True)
    AIJob.objects.of(cast.company.pk).filter(pk=job.pk).update(api_key_id=999_999_999)

    assert root.get(f"{URL}{job.pk}/change/").status_code == 200


def test_job_types_keep_their_names(root: Client, sandbox_url: str) -> None:
    row = root.get("/admin/ai_core/aijobtype/", {"q": ""}).context["cl"].result_list[0]
    sent = {
        "name": "renamed",
        "category": row.category,
        "description": row.description,
        "estimated_duration_seconds": str(row.estimated_duration_seconds),
    }

    response = root.post(f"/admin/ai_core/aijobtype/{row.pk}/change/", sent)

    assert response.status_code == 302
    row.refresh_from_db()
    assert row.name != "renamed"
