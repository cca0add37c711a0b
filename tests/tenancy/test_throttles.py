"""Sign-in is throttled: exactly, per account and address, telling nobody which accounts there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from megahub.kernel import clock
from megahub.kernel.errors import RateLimited
from megahub.tenancy import throttles
from megahub.tenancy.models import Throttle
from tests.conftest import Api
from tests.world import Cast

URL = "/auth/token/"


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    settings.HUB_SIGN_IN_LIMIT = 5
    Throttle.objects.all().delete()


def guess(api: Api, name: str) -> int:
    return api.post(URL, {"username": name, "password": "wrong"}).status_code


def test_it_works(api: Api, cast: Cast) -> None:
    name = cast.alice.user.username

    assert [guess(api, name) for _ in range(6)] == [401] * 5 + [429]
    refused = api.post(URL, {"username": name, "password": "correct horse"})
    assert refused.status_code == 429
    assert refused.json()["error_code"] == "RATE_LIMITED"
    assert int(refused.headers["retry-after"]) > 0
    # Nobody else is shut out: not another name here, not the same name elsewhere.
    bob = {"username": cast.bob.user.username, "password": "correct horse"}
    assert api.post(URL, bob).status_code == 200
    throttles.sign_in(name, "203.0.113.9")


def test_a_name_that_does_not_exist_is_told_the_same(api: Api, cast: Cast) -> None:
    known = [api.post(URL, {"username": cast.alice.user.username, "password": "x"}) for _ in range(6)]
    unknown = [api.post(URL, {"username": "nobody-at-all", "password": "x"}) for _ in range(6)]

    told = [(each.status_code, each.content) for each in known]
    assert [(each.status_code, each.content) for each in unknown] == told


def test_two_hundred_at_once_are_exactly_twenty(settings: Any, cast: Cast) -> None:
    settings.HUB_SIGN_IN_LIMIT = 20

    def one(_: int) -> bool:
        try:
            throttles.sign_in("somebody", "198.51.100.7")
        except RateLimited:
            return False
        finally:
            connection.close()  # a thread's own: the pool has fewer of them than there are threads
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(one, range(200))) == 20


def test_time_gives_tries_back(monkeypatch: pytest.MonkeyPatch, settings: Any, cast: Cast) -> None:
    for _ in range(5):
        throttles.sign_in("somebody", "198.51.100.8")
    with pytest.raises(RateLimited) as refused:
        throttles.sign_in("somebody", "198.51.100.8")
    assert refused.value.retry_after is not None
    later = clock.now() + timedelta(seconds=settings.HUB_SIGN_IN_SECONDS / 5)
    monkeypatch.setattr(clock, "now", lambda: later)
    throttles.sign_in("somebody", "198.51.100.8")
    with pytest.raises(RateLimited):
        throttles.sign_in("somebody", "198.51.100.8")
    monkeypatch.setattr(clock, "now", lambda: later + timedelta(days=1))
    throttles.forget_old()
    assert not Throttle.objects.exists()


def test_who_knows_the_password_was_not_guessing(api: Api, cast: Cast) -> None:
    name = cast.alice.user.username
    for _ in range(3):
        assert [guess(api, name) for _ in range(4)] == [401] * 4
        assert api.post(URL, {"username": name, "password": "correct horse"}).status_code == 200


def test_an_address_has_a_limit_over_all_names(api: Api, settings: Any) -> None:
    settings.HUB_SIGN_IN_ADDRESS_LIMIT = 3
    assert [guess(api, f"name-{number}") for number in range(4)] == [401] * 3 + [429]


def test_refreshes_are_throttled_by_address(api: Api, settings: Any) -> None:
    settings.HUB_REFRESH_LIMIT = 2
    asked = [api.post("/auth/token/refresh/", {"refresh": "a.b.c"}).status_code for _ in range(3)]
    assert asked == [401, 401, 429]


def test_the_admin_counts_too(cast: Cast) -> None:
    user = cast.alice.user
    user.is_staff = user.is_superuser = True
    user.save()
    right = {"username": user.username, "password": "correct horse"}

    def sign_in(asked: dict[str, str]) -> int:
        return Client().post("/admin/login/", asked).status_code

    assert [sign_in({**right, "password": "wrong"}) for _ in range(5)] == [200] * 5
    assert sign_in(right) == 200  # told like a wrong password
    Throttle.objects.all().delete()
    assert sign_in(right) == 302
