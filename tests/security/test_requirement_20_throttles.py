"""Requirement 20: tries are counted one by one however many come at once, and never for want of a counter.

Regression: DRF's own throttles count in a cache, without a lock (#8127). What the counter does alone, of
enumeration and of locking others out: tests/tenancy/test_throttles.py.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError

from megahub.tenancy import throttles
from tests.conftest import Api
from tests.world import RUN, Cast


def test_two_hundred_at_once_through_the_door(api: Api, settings: Any) -> None:
    settings.HUB_SIGN_IN_LIMIT = 20
    guess = {"username": f"guessed-{RUN}", "password": "wrong"}

    with ThreadPoolExecutor(20) as pool:
        found = Counter(pool.map(lambda _: api.post("/auth/token/", guess).status_code, range(200)))

    assert found == {401: 20, 429: 180}


def test_a_counter_that_is_away_lets_nobody_in(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(throttles, "_take", away)

    answer = api.post("/auth/token/", {"username": cast.alice.user.username, "password": "correct horse"})

    assert answer.status_code == 503
    assert "access" not in answer.json()


@pytest.mark.parametrize("spelled", ["{}", " {}", "{} ", "{}\u200b"])
def test_another_spelling_is_no_new_count(api: Api, settings: Any, spelled: str) -> None:
    """Upper case is the same name; what is another name to the database signs nobody in."""
    settings.HUB_SIGN_IN_LIMIT = 2
    name = f"spelled-{RUN}-{abs(hash(spelled))}"
    asked = [spelled.format(name), spelled.format(name.upper()), spelled.format(name.title())]

    statuses = [
        api.post("/auth/token/", {"username": each, "password": "wrong"}).status_code for each in asked
    ]

    assert statuses[:2] == [401, 401]
    assert statuses[2] == 429
