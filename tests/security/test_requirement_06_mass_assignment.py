"""Requirement 6: no body sets what is the hub's to set (CVE-2026-47102 set ``user_role``)."""

from __future__ import annotations

from typing import Any

import pytest

from ai_core.models import AIJob
from megahub.tenancy.models import ApiKey, Membership, User
from tests import world
from tests.conftest import Api
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
    for method in ("POST", "PUT", "PATCH"):
        response = api.as_(cast.bob).request(method, "/auth/me/", json={"role": "owner", "is_staff": True})
        assert response.status_code == 405
    assert not User.objects.get(pk=cast.bob.user.pk).is_staff
    assert Membership.objects.of(cast.company.pk).get(user=cast.bob.user).role == "member"
