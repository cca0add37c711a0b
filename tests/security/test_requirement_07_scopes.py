"""Requirement 7: a key's scopes are a subset of its maker's, at issue and at use.

Regression: CVE-2026-47101 (``allowed_routes``), CVE-2025-0628 (a viewer's key that was an admin's).
"""

from __future__ import annotations

from typing import Any

import pytest

from megahub.kernel import cache
from megahub.tenancy.models import ApiKey, Membership
from megahub.tenancy.roles import ADMIN_SCOPES, MEMBER_SCOPES, Role
from tests.conftest import Api
from tests.world import Cast


@pytest.mark.parametrize(
    "scopes", [["*"], ["admin"], ["jobs:*"], ["credentials:manage"], ["INFERENCE"], "*"]
)
def test_bob_mints_no_more_than_he_has(api: Api, cast: Cast, scopes: Any) -> None:
    response = api.as_(cast.bob).post("/auth/keys/", {"name": "more", "scopes": scopes})

    assert response.status_code == 400
    assert ApiKey.objects.of(cast.company.pk).count() == 0


def test_a_viewer_mints_none(api: Api, cast: Cast) -> None:
    Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).update(role=Role.VIEWER)
    cache.forget_everything()

    response = api.as_(cast.bob).post("/auth/keys/", {"name": "more", "scopes": ["jobs:read"]})

    assert response.status_code == 403
    assert ApiKey.objects.of(cast.company.pk).count() == 0


def test_a_key_mints_no_more_than_it_has(api: Api, cast: Cast) -> None:
    key = cast.alice.api_key("keys:manage", "jobs:read")

    assert api.as_(key).post("/auth/keys/", {"name": "x", "scopes": ["inference"]}).status_code == 400
    assert api.as_(key).post("/auth/keys/", {"name": "x", "scopes": ["jobs:read"]}).status_code == 201


def test_a_key_loses_what_its_maker_loses(api: Api, cast: Cast) -> None:
    key = cast.alice.api_key("webhooks:manage", "jobs:read")
    assert api.as_(key).get("/ai/webhooks/").status_code == 200

    Membership.objects.of(cast.company.pk).filter(user=cast.alice.user).update(role=Role.MEMBER)
    cache.forget_everything()

    assert api.as_(key).get("/ai/webhooks/").status_code == 403
    assert api.as_(key).get("/ai/jobs/").status_code == 200


def test_scopes_written_into_the_row_give_nothing(api: Api, cast: Cast) -> None:
    """What the database says beyond the maker's role is not believed at use."""
    key = cast.bob.api_key()
    ApiKey.objects.of(cast.company.pk).update(scopes=["*", *ADMIN_SCOPES])
    cache.forget_everything()

    assert api.as_(key).get("/ai/webhooks/").status_code == 403
    assert set(api.as_(key).get("/auth/me/").json()["scopes"]) == set(MEMBER_SCOPES)


def test_a_key_without_the_scope_calls_no_model(api: Api, cast: Cast) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    reader = api.as_(cast.alice.api_key("jobs:read"))

    for door in ("/v1/chat/completions", "/ai/openai/chat/"):
        assert reader.post(door, body).status_code == 403
