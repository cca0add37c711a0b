"""``/auth/keys/``: API keys for scripts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from megahub.kernel import clock
from megahub.tenancy import tokens
from megahub.tenancy.models import ApiKey, Membership
from megahub.tenancy.selectors import forget_callers
from tests.conftest import Api
from tests.world import Cast

URL = "/auth/keys/"


def test_it_works(api: Api, cast: Cast) -> None:
    response = api.as_(cast.alice).post(URL, {"name": "CI", "expires_in_days": 30})

    assert response.status_code == 201
    made = response.json()
    key = made.pop("key")
    assert tokens.API_KEY.fullmatch(key)
    assert made["scopes"] == ["inference", "jobs:read", "jobs:write"]
    assert made["created_by"] == cast.alice.user.username
    for scheme in ("Token", "Bearer"):
        me = api.get("/auth/me/", headers={"Authorization": f"{scheme} {key}"})
        assert me.json()["scopes"] == made["scopes"]
    listed = api.as_(cast.alice).get(URL).json()
    assert [row["id"] for row in listed] == [made["id"]]
    assert listed[0]["last_used_at"] is not None
    assert key not in str(listed)
    row = ApiKey.objects.of(cast.company.pk).get()
    assert row.digest == tokens.digest(key)
    assert key not in str(vars(row))


def test_anonymous(api: Api) -> None:
    assert api.get(URL).status_code == 401
    assert api.post(URL, {"name": "x"}).status_code == 401


def test_a_key_carries_no_more_than_its_maker(api: Api, cast: Cast) -> None:
    Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).update(role="viewer")
    forget_callers()
    assert api.as_(cast.bob).post(URL, {"name": "x"}).status_code == 403

    limited = cast.alice.api_key("keys:manage", "jobs:read")
    response = api.as_(limited).post(URL, {"name": "x", "scopes": ["credentials:manage"]})

    assert response.status_code == 400
    assert response.json()["field_errors"] == {"scopes": ["Beyond your own scopes: credentials:manage."]}
    assert ApiKey.objects.of(cast.company.pk).count() == 1


def test_a_key_loses_what_its_maker_loses(api: Api, cast: Cast) -> None:
    key = cast.bob.api_key("inference", "jobs:read")
    Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).update(role="viewer")
    forget_callers()

    assert api.as_(key).get("/auth/me/").json()["scopes"] == ["jobs:read"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"revoked_at": clock.now()}, "TOKEN_REVOKED"),
        ({"expires_at": clock.now() - timedelta(seconds=1)}, "TOKEN_EXPIRED"),
        ({"digest": "0" * 64}, "INVALID_TOKEN"),
    ],
)
def test_a_key_that_is_no_longer_good(api: Api, cast: Cast, change: dict[str, Any], code: str) -> None:
    key = cast.alice.api_key()
    ApiKey.objects.of(cast.company.pk).update(**change)

    response = api.as_(key).get("/auth/me/")

    assert (response.status_code, response.json()["error_code"]) == (401, code)


def test_revoking(api: Api, cast: Cast) -> None:
    key = cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()
    assert api.as_(key).get("/auth/me/").status_code == 200

    response = api.as_(cast.alice).request("DELETE", f"{URL}{row.pk}/")

    assert response.status_code == 200
    assert response.json()["revoked_at"] is not None
    assert api.as_(key).get("/auth/me/").status_code == 401


def test_members_revoke_only_their_own(api: Api, cast: Cast) -> None:
    cast.alice.api_key()
    row = ApiKey.objects.of(cast.company.pk).get()

    assert api.as_(cast.bob).get(URL).json() == []
    assert api.as_(cast.bob).request("DELETE", f"{URL}{row.pk}/").status_code == 404
    assert api.as_(cast.charlie).request("DELETE", f"{URL}{row.pk}/").status_code == 404
    row.refresh_from_db()
    assert row.revoked_at is None


def test_a_key_for_one_brand_enters_no_other(api: Api, cast: Cast) -> None:
    made = api.as_(cast.alice).post(URL, {"name": "x", "only_this_brand": True}).json()
    other = cast.company.brands.create(name="Other", company=cast.company)

    here = api.as_(made["key"]).get("/auth/me/").json()
    there = api.as_(made["key"], x_brand_id=str(other.pk)).get("/auth/me/")

    assert here["brand"]["id"] == cast.brand.pk
    assert there.status_code == 404


def test_what_a_key_makes_is_bound_as_it_is(api: Api, cast: Cast) -> None:
    scopes = ["keys:manage", "jobs:read"]
    asked = {"name": "x", "only_this_brand": True, "scopes": scopes, "expires_in_days": 7}
    maker = api.as_(cast.alice).post(URL, asked).json()

    made = api.as_(maker["key"]).post(URL, {"name": "y", "scopes": ["jobs:read"]}).json()
    sooner = {"name": "z", "scopes": ["jobs:read"], "expires_in_days": 1}
    brief = api.as_(maker["key"]).post(URL, sooner).json()

    assert (made["brand"], made["expires_at"]) == (cast.brand.pk, maker["expires_at"])
    assert brief["brand"] == cast.brand.pk
    assert brief["expires_at"] < maker["expires_at"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 81},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "scopes": "inference"},
        {"name": "x", "expires_in_days": 0},
        {"name": "x", "expires_in_days": "soon"},
    ],
)
def test_bad_input_changes_nothing(api: Api, cast: Cast, body: dict[str, Any]) -> None:
    response = api.as_(cast.alice).post(URL, body)

    assert response.status_code == 400
    assert response.json()["error_code"] == "VALIDATION_ERROR"
    assert not ApiKey.objects.of(cast.company.pk).exists()
