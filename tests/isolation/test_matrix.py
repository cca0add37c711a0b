"""Every route with an id, every kind of caller: a foreign id is answered like a random one."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

import pytest

from megahub.kernel import cache, clock
from megahub.tenancy import services
from megahub.tenancy.models import ApiKey, Membership, User
from megahub.tenancy.roles import Role
from tests import test_isolation, world
from tests.conftest import Api
from tests.test_isolation import Owned
from tests.world import Cast, Person

owned, receiver = test_isolation.owned, test_isolation.receiver


def strangers(cast: Cast) -> dict[str, str | None]:
    """A token for each kind of caller who has nothing to do with Alice's company."""
    company, brand = cast.charlie.company, cast.charlie.brand
    name = cast.charlie.user.username
    people = {
        role: world.make_person(f"{name}-{role}", company, brand, role)
        for role in (Role.ADMIN, Role.VIEWER)
    }
    found: dict[str, str | None] = {"anonymous": None}
    found |= {f"a stranger, {role}": person.token for role, person in people.items()}
    found["a stranger's key of every scope"] = _key(cast.charlie, *sorted(cast.charlie.caller.scopes))
    found["a stranger's expired key"] = _key(cast.charlie, "jobs:read", expired=True)
    found["a stranger's revoked key"] = _key(cast.charlie, "jobs:read", revoked=True)
    return found | _fallen(cast)


def _fallen(cast: Cast) -> dict[str, str | None]:
    """Those who once were in Alice's company, and who are but may not enter the brand."""
    name, found = cast.alice.user.username, {}
    gone = world.make_person(f"{name}-gone", cast.company, cast.brand, Role.ADMIN)
    Membership.objects.unscoped().filter(user=gone.user).delete()
    found["a member who left"] = gone.token
    disabled = world.make_person(f"{name}-disabled", cast.company, cast.brand, Role.ADMIN)
    User.objects.filter(pk=disabled.user.pk).update(is_active=False)
    found["a disabled member"] = disabled.token
    key = _key(cast.alice, "jobs:read", "jobs:write", revoked=True)
    return {**found, "the company's revoked key": key}


def _key(person: Person, *scopes: str, expired: bool = False, revoked: bool = False) -> str:
    row, key = services.make_api_key(person.caller, "matrix", list(scopes), None, None)
    past = clock.now() - timedelta(days=1)
    ApiKey.objects.unscoped().filter(pk=row.pk).update(
        expires_at=past if expired else None, revoked_at=past if revoked else None
    )
    return key


def test_no_caller_can_tell_a_foreign_id_from_a_random_one(
    api: Api, cast: Cast, owned: Owned, capsys: pytest.CaptureFixture[str]
) -> None:
    callers = strangers(cast)
    cache.forget_everything()
    before, cases, told = owned.now(), 0, []
    for row in [*test_isolation.ROWS, *test_isolation.QUERIES]:
        for who, token in callers.items():
            for theirs, absent in owned.ids(row.owned)[:1]:
                cases += 1
                answers = []
                for ids in (theirs, absent):
                    values = iter(ids)
                    path = re.sub(r"\{\w+\}", lambda _, left=values: next(left), row.path)
                    response = api.as_(token).request(row.method, path, json=row.body)
                    answers.append(test_isolation.told(response))
                foreign, random = answers
                if foreign != random or foreign[0] < 400 or b"anary" in foreign[1]:
                    told.append(f"{row.method} {row.path} by {who}: {foreign[0]} {random[0]}")

    with capsys.disabled():
        sys.stdout.write(f"\n{cases} cases (route, method, caller, place), {len(told)} leaks\n")
    assert told == []
    assert owned.now() == before
