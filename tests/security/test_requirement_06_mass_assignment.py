"""Requirement 6: no body sets what is the hub's to set (CVE-2026-47102 set ``user_role``)."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from ai_core.models import AIJob
from megahub.tenancy.models import ApiKey, Membership, User
from tests import routes, world
from tests.audit import test_register
from tests.conftest import Api
from tests.test_isolation import Owned, owned, receiver  # noqa: F401 - fixtures
from tests.world import Cast

FIELDS: dict[str, Any] = {
    "company": 1,
    "company_id": 1,
    "brand": 1,
    "role": "owner",
    "user_role": "proxy_admin",
    "is_staff": True,
    "is_superuser": True,
    "limit": "1000000",
    "spent": 0,
    "state": "completed",
    "revision": 99,
    "base_url": "http://169.254.169.254/",
    "created_by": 1,
    "digest": "0" * 64,
    "token_version": 1,
}
DOORS: dict[str, Any] = {
    "/v1/chat/completions": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
    "/ai/openai/chat/": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "Hi"},
    "/ai/jobs/": {
        "job_type": "chat_completion",
        "input_data": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
    },
    "/ai/openai/jobs/": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
    "/ai/credentials/": {},
    "/ai/webhooks/": {"url": "https://hooks.example.com/", "events": ["job.completed"]},
    "/ai/batch-analysis/": {"contents": ["Hi"], "analysis_type": "seo", "model": "gpt-4o-mini"},
    "/auth/keys/": {"name": "mine"},
    "/auth/token/": {"username": "x", "password": "y"},
    "/auth/token/refresh/": {"refresh": "x"},
    "/auth/token/revoke/": {"refresh": "x"},
    "/auth/token/verify/": {"token": "x"},
    "/auth/invitations/accept/": {"token": "x", "username": "x", "password": "y"},
    "/ai/openai/recommend_model/": {"prompt": "Hi"},
    "/v1/batches": {
        "input_file_id": "file-x",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    },
    "/api/batch/create": {
        "input_file_id": "file-x",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    },
    "/auth/totp/": {"password": "x"},
    "/auth/totp/confirm/": {"setup": "x", "code": "1"},
    "/auth/totp/recovery-codes/": {"password": "x", "otp": "1"},
    "/auth/totp/remove/": {"password": "x", "otp": "1"},
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("door", DOORS)
def test_it_is_refused_by_name(api: Api, cast: Cast, door: str, field: str) -> None:
    before = (AIJob.objects.of(cast.company.pk).count(), ApiKey.objects.of(cast.company.pk).count())

    response = api.as_(cast.alice).post(door, {**DOORS[door], field: FIELDS[field]})

    assert response.status_code == 400, response.text
    assert field in response.text
    assert (AIJob.objects.of(cast.company.pk).count(), ApiKey.objects.of(cast.company.pk).count()) == before


@pytest.mark.parametrize("field", ["status", "company", "created_by", "revision", "cost", "brand"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_job_keeps_what_it_is(api: Api, cast: Cast, rung: list[Any], method: str, field: str) -> None:
    job = world.submit(cast.alice, later=True)
    before = AIJob.objects.of(cast.company.pk).values().get()

    response = api.as_(cast.alice).request(method, f"/ai/jobs/{job.job_ref}/", json={field: "completed"})

    assert response.status_code == 400
    assert AIJob.objects.of(cast.company.pk).values().get() == before


def test_nobody_became_more_than_they_were(api: Api, cast: Cast) -> None:
    for method, status in (("POST", 405), ("PUT", 405), ("PATCH", 400)):
        response = api.as_(cast.bob).request(method, "/auth/me/", json={"role": "owner", "is_staff": True})
        assert response.status_code == status
    assert not User.objects.get(pk=cast.bob.user.pk).is_staff
    assert Membership.objects.of(cast.company.pk).get(user=cast.bob.user).role == "member"


#: What no body sets, at any door; where one of them is a field of the body it is left out.
NEVER: dict[str, Any] = {
    **FIELDS,
    "id": 1,
    "pk": 1,
    "uid": "1",
    "created_at": "2020-01-01T00:00:00Z",
    "changed_at": "2020-01-01T00:00:00Z",
    "revoked_at": "2020-01-01T00:00:00Z",
    "accepted_by": 1,
    "status": "completed",
    "cost": "0",
    "reserved": 0,
    "forgiven": 10**9,
    "is_resolved": True,
    "sealed_secret": "x",
    "no_such_field": 1,
}
#: POSTs that take no body at all: what comes with them is not read.
WITHOUT_BODY = {
    "/ai/alerts/check_alerts/",
    "/ai/jobs/{ref}/cancel/",
    "/ai/webhooks/{pk}/rotate_secret/",
    "/ai/webhooks/{pk}/test/",
    "/ai/webhooks/{webhook_pk}/deliveries/{pk}/redeliver/",
    "/api/batch/{batch_id}/cancel",
    "/v1/batches/{batch_id}/cancel",
}
#: Bodies that are a form, or whose names are their own (tests/ai_batch/); a dry run tells in its answer.
OF_THEIR_OWN = {
    "/ai/jobs/validate/",
    "/v1/files",
    "/api/batch/upload",
    "/api/batch/{batch_id}/retry_failed",
    "/api/batch/policy",
    "/api/batch/validate",
}


def test_every_body_by_enumeration(
    api: Api,
    cast: Cast,
    owned: Owned,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each route that takes a body, each field that is not its own: refused by name, nothing changed."""
    schema = api.get("/schema/", headers={"Accept": "application/json"}).json()
    rows = {(row.method, row.path): row for row in test_register.ROWS}
    doors = {("POST", path): test_register.Row("POST", path, "", body) for path, body in DOORS.items()}
    before, cases, taken = owned.now(), 0, []
    for method, path in sorted({**doors, **rows}):
        if method == "DELETE" or path in WITHOUT_BODY | OF_THEIR_OWN:
            continue
        row = rows.get((method, path)) or doors[method, path]
        found = path
        for value in test_register._ids(owned, row.owned):
            found = re.sub(r"\{\w+\}", value, found, count=1)
        own = fields_of(schema, method, path)
        for field, value in NEVER.items():
            if field in own or field in (row.body or {}):
                continue
            cases += 1
            response = api.as_(cast.alice).request(method, found, json={**(row.body or {}), field: value})
            if response.status_code != 400 or field not in response.text:
                taken.append(f"{method} {path} {field}: {response.status_code}")

    with capsys.disabled():
        sys.stdout.write(f"\n{cases} cases (route, method, field), {len(taken)} taken\n")
    assert taken == []
    assert owned.now() == before


def fields_of(schema: dict[str, Any], method: str, path: str) -> set[str]:
    """The names of a body's fields, by the document."""
    shape = re.sub(r"\{\w+\}", "{}", path)
    (operation,) = (
        methods[method.lower()]
        for known, methods in schema["paths"].items()
        if re.sub(r"\{\w+\}", "{}", known) == shape
    )
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return set(_properties(schema, content.get("schema", {})))


def _properties(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in part:
        return _properties(schema, schema["components"]["schemas"][part["$ref"].rpartition("/")[2]])
    found = dict(part.get("properties", {}))
    for each in (*part.get("allOf", ()), *part.get("oneOf", ()), *part.get("anyOf", ())):
        found |= _properties(schema, each)
    return found


def test_every_route_with_a_body_is_enumerated() -> None:
    """A new one joins through the register of the audit trail, or is red here."""
    bodies = {
        (method, path)
        for path, pattern in routes.of_the_api().items()
        for method in routes.methods_of(pattern) - {"GET", "DELETE"}
    }
    known = {(row.method, row.path) for row in test_register.ROWS} | {("POST", path) for path in DOORS}

    assert {each for each in bodies - known if each[1] not in WITHOUT_BODY | OF_THEIR_OWN} == set()
