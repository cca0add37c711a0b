"""Requirement 3: a refresh token is good once; using it again ends its whole family."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from megahub.kernel import clock
from megahub.tenancy.models import RefreshToken
from tests.conftest import Api
from tests.tenancy.test_tokens_api import pair
from tests.world import Cast


def test_of_100_parallel_refreshes_one_wins(api: Api, cast: Cast) -> None:
    body = {"refresh": pair(api, cast)["refresh"]}

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: api.post("/auth/token/refresh/", body).status_code, range(100)))

    assert sorted(answers) == [200] + [401] * 99


def test_a_stolen_token_that_comes_late_ends_the_family(api: Api, cast: Cast) -> None:
    first = pair(api, cast)
    second = api.post("/auth/token/refresh/", {"refresh": first["refresh"]}).json()
    long_ago = clock.now() - timedelta(minutes=5)
    RefreshToken.objects.filter(sign_in__user=cast.alice.user).exclude(used_at=None).update(
        used_at=long_ago
    )

    assert api.post("/auth/token/refresh/", {"refresh": first["refresh"]}).status_code == 401

    assert api.post("/auth/token/refresh/", {"refresh": second["refresh"]}).status_code == 401
    assert api.as_(second["access"]).get("/auth/me/").status_code == 401
    assert api.as_(first["access"]).get("/auth/me/").status_code == 401


def test_only_a_digest_is_stored(api: Api, cast: Cast) -> None:
    refresh = pair(api, cast)["refresh"]

    rows = RefreshToken.objects.filter(sign_in__user=cast.alice.user)
    digests = [row.digest for row in rows]
    assert hashlib.sha256(refresh.encode()).hexdigest() in digests
    assert not any(refresh in str(value) for row in rows.values() for value in row.values())
