"""Requirement 4: what is disabled, demoted, changed or deleted ends at once in this process, and within
five seconds in every other (HUB_IDENTITY_TTL_SECONDS)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings

from megahub.kernel import cache
from megahub.tenancy.models import ApiKey, Company, Membership, SignIn
from megahub.tenancy.roles import Role
from tests.conftest import Api
from tests.tenancy.test_tokens_api import pair
from tests.world import Cast


def disable(cast: Cast) -> None:
    cast.alice.user.is_active = False
    cast.alice.user.save(update_fields=["is_active"])


def new_password(cast: Cast) -> None:
    cast.alice.user.set_password("another horse")
    cast.alice.user.save(update_fields=["password"])


def sign_out(cast: Cast) -> None:
    from megahub.kernel import clock

    SignIn.objects.filter(user=cast.alice.user).update(revoked_at=clock.now())


def end_the_company(cast: Cast) -> None:
    Company.objects.filter(pk=cast.company.pk).update(is_active=False)


def end_the_membership(cast: Cast) -> None:
    Membership.objects.of(cast.company.pk).filter(user=cast.alice.user).delete()


ENDS = [disable, new_password, sign_out, end_the_company, end_the_membership]


def test_it_is_remembered_for_five_seconds_at_most() -> None:
    assert settings.HUB_IDENTITY_TTL_SECONDS <= 5


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_an_access_token_ends_with_it(api: Api, cast: Cast, end: Callable[[Cast], None]) -> None:
    caller = api.as_(cast.alice)
    assert caller.get("/v1/models").status_code == 200

    end(cast)
    cache.forget_everything()  # what time does by itself

    for path in ("/v1/models", "/auth/me/", "/ai/jobs/"):
        assert caller.get(path).status_code in (401, 403)


@pytest.mark.parametrize("end", [disable, new_password, sign_out], ids=lambda end: end.__name__)
def test_a_refresh_token_ends_with_it(api: Api, cast: Cast, end: Callable[[Cast], None]) -> None:
    tokens = pair(api, cast)

    end(cast)

    assert api.post("/auth/token/refresh/", {"refresh": tokens["refresh"]}).status_code == 401


@pytest.mark.parametrize(
    "end", [disable, end_the_company, end_the_membership], ids=lambda end: end.__name__
)
def test_an_api_key_ends_with_it(api: Api, cast: Cast, end: Callable[[Cast], None]) -> None:
    caller = api.as_(cast.alice.api_key())
    assert caller.get("/v1/models").status_code == 200

    end(cast)
    cache.forget_everything()

    assert caller.get("/v1/models").status_code in (401, 403)


def test_a_role_that_was_taken_away_is_gone(api: Api, cast: Cast) -> None:
    assert api.as_(cast.alice).get("/ai/webhooks/").status_code == 200

    Membership.objects.of(cast.company.pk).filter(user=cast.alice.user).update(role=Role.VIEWER)
    cache.forget_everything()

    assert api.as_(cast.alice).get("/ai/webhooks/").status_code == 403


def test_a_deleted_key_is_refused_by_the_next_request(api: Api, cast: Cast) -> None:
    """CVE-2026-114137: a DELETE that is answered, but revokes nothing."""
    key = cast.alice.api_key()
    assert api.as_(key).get("/v1/models").status_code == 200
    row = ApiKey.objects.of(cast.company.pk).get()

    assert api.as_(cast.alice).request("DELETE", f"/auth/keys/{row.pk}/").status_code == 200

    assert api.as_(key).get("/v1/models").status_code == 401
