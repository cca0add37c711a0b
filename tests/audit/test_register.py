"""Every route that changes something leaves exactly one entry; a new route joins here or is red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from megahub.audit.models import AuditEntry
from tests import routes
from tests.conftest import Api
from tests.stubs import Scripted
from tests.test_isolation import GOOGLE, Owned, owned, receiver  # noqa: F401 - fixtures
from tests.world import Cast


@dataclass(frozen=True)
class Row:
    """A call by Alice, and the action it leaves. ``{x}`` of a path is the id of ``owned``'s x."""

    method: str
    path: str
    action: str
    body: Any = None
    owned: str = ""


DAY, TOKENS = "2026-01-02T03:04:05Z", {"input_tokens": 1, "output_tokens": 1}
EXPORT = "export_schedule"
EXPORTS = {"name": "each day", "period": "daily", "delivery": "webhook"}
BATCHES = {"cron": "0 6 * * *", "endpoint": "/v1/chat/completions", "requests": [{}]}
ROWS = [
    Row("PUT", "/ai/jobs/{ref}/", "job.change", {"description": "d"}, "job"),
    Row("PATCH", "/ai/jobs/{ref}/", "job.change", {"priority": "low"}, "job"),
    Row("DELETE", "/ai/jobs/{ref}/", "job.delete", None, "done"),
    Row("POST", "/ai/jobs/{ref}/cancel/", "job.cancel", None, "job"),
    Row("POST", "/ai/jobs/{ref}/feedback/", "job.rate", {"score": 7}, "done"),
    Row("PUT", "/ai/openai/jobs/{ref}/", "job.amend", {"temperature": 0.1}, "job"),
    Row("PATCH", "/ai/openai/jobs/{ref}/", "job.change", {"description": "d"}, "job"),
    Row("DELETE", "/ai/openai/jobs/{ref}/", "job.delete", None, "done"),
    Row("POST", "/ai/alerts/", "alert.create", {"message": "Look"}),
    Row("PUT", "/ai/alerts/{pk}/resolve/", "alert.resolve", {"resolution_note": "seen"}, "alert"),
    Row("POST", "/ai/alerts/{pk}/resolve/", "alert.resolve", {"resolution_note": "seen"}, "alert"),
    Row("POST", "/ai/alerts/check_alerts/", "alert.check"),
    Row("PUT", "/ai/alerts/rules/{alert_type}/", "alert_rule.change", {"threshold": "0.7"}, "rule"),
    Row("PATCH", "/ai/alerts/rules/{alert_type}/", "alert_rule.change", {"is_active": False}, "rule"),
    Row("DELETE", "/ai/alerts/rules/{alert_type}/", "alert_rule.reset", None, "rule"),
    Row("POST", "/ai/credentials/", "credentials.store", {"google_api_key": GOOGLE + "more"}),
    Row(
        "PUT", "/ai/credentials/{pk}/", "credentials.store", {"openai_organization": "org-x"}, "credentials"
    ),
    Row("PATCH", "/ai/credentials/{pk}/", "credentials.store", {"google_api_key": None}, "credentials"),
    Row("DELETE", "/ai/credentials/{pk}/", "credentials.delete", None, "credentials"),
    Row("POST", "/ai/credentials/test_connection/", "credentials.test", {"provider": "openai"}),
    Row("PUT", "/ai/quotas/", "quota.change", {"provider": "openai", "monthly_token_limit": 5}),
    Row(
        "POST",
        "/ai/usage/",
        "usage.create",
        {"provider_name": "openai", "model_name": "gpt-4o", "total_cost": "1", "created_at": DAY, **TOKENS},
    ),
    Row("POST", "/ai/webhooks/", "webhook.create", {"url": "{receiver}", "events": ["alert.created"]}),
    Row("PUT", "/ai/webhooks/{pk}/", "webhook.change", {"description": "d"}, "webhook"),
    Row("PATCH", "/ai/webhooks/{pk}/", "webhook.change", {"is_active": False}, "webhook"),
    Row("DELETE", "/ai/webhooks/{pk}/", "webhook.delete", None, "webhook"),
    Row("POST", "/ai/webhooks/{pk}/rotate_secret/", "webhook.rotate_secret", None, "webhook"),
    Row("POST", "/ai/webhooks/{pk}/test/", "webhook.test", None, "webhook"),
    Row(
        "POST",
        "/ai/webhooks/{webhook_pk}/deliveries/{pk}/redeliver/",
        "webhook.redeliver",
        None,
        "delivery",
    ),
    Row("POST", "/ai/budgets/", "budget.create", {"period": "total", "limit": "1000000"}),
    Row("PUT", "/ai/budgets/{pk}/", "budget.change", {"limit": "5"}, "budget"),
    Row("PATCH", "/ai/budgets/{pk}/", "budget.change", {"is_active": False}, "budget"),
    Row("DELETE", "/ai/budgets/{pk}/", "budget.delete", None, "budget"),
    Row("POST", "/ai/rate-limits/", "rate_limit.create", {"requests_per_minute": 10**6}),
    Row("PUT", "/ai/rate-limits/{pk}/", "rate_limit.change", {"tokens_per_minute": 5}, "rate_limit"),
    Row("PATCH", "/ai/rate-limits/{pk}/", "rate_limit.change", {"is_active": False}, "rate_limit"),
    Row("DELETE", "/ai/rate-limits/{pk}/", "rate_limit.delete", None, "rate_limit"),
    Row("DELETE", "/v1/files/{file_id}", "file.delete", None, "file"),
    Row("POST", "/v1/batches/{batch_id}/cancel", "batch.cancel", None, "filebatch"),
    Row("POST", "/api/batch/{batch_id}/cancel", "batch.cancel", None, "filebatch"),
    Row("PUT", "/ai/privacy/policy/", "policy.change", {"keep_days": 30}),
    Row("PATCH", "/ai/privacy/policy/", "policy.change", {"content_filter": "flag", "words": ["x"]}),
    Row("POST", "/ai/privacy/erasures/", "person.erase", {"end_user": "nobody"}),
    Row("DELETE", "/ai/usage/exports/{pk}/", "export.delete", None, "export"),
    Row("POST", "/ai/usage/export-schedules/", "export_schedule.create", EXPORTS),
    Row("PUT", "/ai/usage/export-schedules/{pk}/", "export_schedule.change", {"hour": 9}, EXPORT),
    Row("PATCH", "/ai/usage/export-schedules/{pk}/", "export_schedule.change", {"hour": 9}, EXPORT),
    Row("DELETE", "/ai/usage/export-schedules/{pk}/", "export_schedule.delete", None, EXPORT),
    Row("PUT", "/api/batch/policy", "batch_policy.change", {"engine": "hub"}),
    Row("POST", "/api/batch/schedules", "batch_schedule.create", BATCHES),
    Row("PATCH", "/api/batch/schedules/{schedule_id}", "batch_schedule.change", {"name": "n"}, "schedule"),
    Row("DELETE", "/api/batch/schedules/{schedule_id}", "batch_schedule.delete", None, "schedule"),
    Row("POST", "/auth/keys/", "key.create", {"name": "k", "scopes": ["inference"]}),
    Row("PATCH", "/auth/members/{pk}/", "member.change", {"role": "viewer"}, "member"),
    Row("DELETE", "/auth/members/{pk}/", "member.remove", None, "member"),
    Row("PATCH", "/auth/me/", "user.change", {"language": "fr"}),
    Row("POST", "/auth/invitations/", "member.invite", {}),
    Row("DELETE", "/auth/invitations/{pk}/", "member.uninvite", None, "invitation"),
    Row("POST", "/auth/brands/", "brand.create", {"name": "New"}),
    Row("PATCH", "/auth/brands/{pk}/", "brand.change", {"name": "Newer"}, "other_brand"),
    Row("DELETE", "/auth/keys/{key_id}/", "key.revoke", None, "key"),
]
#: What changes nothing, or is a row of its own that says by whom, and is never changed: a job (and its
#: ledger entries), a batch, a file, a sign-in. The hot lane would pay for a second one.
OTHERWISE_KEPT = {
    ("POST", "/ai/batch-analysis/"): "a batch of jobs",
    ("POST", "/ai/jobs/"): "a job",
    ("POST", "/ai/jobs/validate/"): "a dry run",
    ("POST", "/ai/openai/chat/"): "a job",
    ("POST", "/ai/openai/jobs/"): "a job",
    ("POST", "/ai/openai/recommend_model/"): "an answer",
    ("POST", "/v1/chat/completions"): "a job",
    ("POST", "/v1/embeddings"): "a job",
    ("POST", "/v1/files"): "a file",
    ("POST", "/v1/batches"): "a batch",
    ("POST", "/api/batch/create"): "a batch",
    ("POST", "/api/batch/validate"): "a dry run",
    ("POST", "/api/batch/upload"): "a file",
    ("POST", "/api/batch/{batch_id}/retry_failed"): "a batch",
    ("POST", "/auth/invitations/accept/"): "entered by whom it lets in (tests/tenancy/test_members_api.py)",
    ("POST", "/auth/token/"): "a sign-in",
    ("POST", "/auth/token/refresh/"): "a sign-in's next token",
    ("POST", "/auth/token/revoke/"): "a sign-in's end",
    ("POST", "/auth/token/verify/"): "an answer",
    ("POST", "/auth/totp/"): "an answer: nothing is kept of it",
    ("POST", "/auth/totp/confirm/"): "entered, for a code (tests/tenancy/test_totp_api.py)",
    ("POST", "/auth/totp/recovery-codes/"): "entered, for a code (tests/tenancy/test_totp_api.py)",
    ("POST", "/auth/totp/remove/"): "entered, for a code (tests/tenancy/test_totp_api.py)",
}


def test_every_route_that_changes_something_is_registered() -> None:
    there = {
        (method, path)
        for path, pattern in routes.of_the_api().items()
        for method in routes.methods_of(pattern) - {"GET"}
    }

    assert there == {(row.method, row.path) for row in ROWS} | set(OTHERWISE_KEPT)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
def test_it_leaves_exactly_one_entry(
    api: Api,
    cast: Cast,
    owned: Owned,  # noqa: F811
    provider: Callable[..., Scripted],
    row: Row,
) -> None:
    path, ids = row.path, _ids(owned, row.owned)
    for found in ids:
        start, end = path.index("{"), path.index("}")
        path = path[:start] + found + path[end + 1 :]
    body = {**row.body, "url": owned.receiver.url} if row.body and "url" in row.body else row.body
    trail = AuditEntry.objects.of(cast.company.pk).order_by("seq")
    before = trail.count()

    response = api.as_(cast.alice).request(row.method, path, json=body)

    assert response.status_code < 300, response.text
    (entry,) = trail[before:]
    assert (entry.action, entry.actor_kind, entry.actor_id) == (row.action, "user", cast.alice.user.pk)
    assert (entry.request_id, entry.ip) == (response.headers["x-request-id"], "127.0.0.1")
    assert AuditEntry.objects.of(cast.charlie.company.pk).count() == 0


def _ids(owned: Owned, kind: str) -> tuple[str, ...]:  # noqa: F811
    if not kind:
        return ()
    return ("cost_warning",) if kind == "rule" else owned.ids(kind)[0][0]
