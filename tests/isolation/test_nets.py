"""Either net alone keeps strangers out: the code's scopes without policies, policies without the scopes.

``PYTEST_NET=rows`` and ``PYTEST_NET=managers`` run everything so (docs/isolation.md); this is their short
form, in the run that everybody does: every route with an id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from django.conf import settings

from megahub.kernel import cache
from megahub.kernel.sql import on_postgres
from megahub.tenancy.scoping import Scoped
from tests import test_isolation
from tests.conftest import Api, of_nobody, row_security
from tests.isolation.test_places import _ask
from tests.test_isolation import QUERIES, ROWS, Owned
from tests.world import Cast

owned, receiver = test_isolation.owned, test_isolation.receiver
pytestmark = pytest.mark.skipif(
    not on_postgres() or not settings.HUB_ROW_SECURITY or "PYTEST_NET" in os.environ,
    reason="two nets: on PostgreSQL with row-level security, unless one is gone already",
)


@pytest.fixture(params=["rows", "managers"])
def one_net(request: pytest.FixtureRequest, owned: Owned, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The net that is left."""
    if request.param == "rows":
        monkeypatch.setattr(Scoped, "of", of_nobody)
        yield "rows"
        return
    row_security("DISABLE")
    yield "managers"
    row_security("ENABLE")


def test_no_route_tells_of_a_strangers_rows(api: Api, cast: Cast, owned: Owned, one_net: str) -> None:
    charlie, before, told = api.as_(cast.charlie), owned.now(), []

    for row in [*ROWS, *QUERIES]:
        if re.search(r"/events/?$", row.path):  # it would go on until the job has ended
            continue
        theirs, absent = owned.ids(row.owned)[0]
        cache.forget_everything()
        foreign, random = (test_isolation.told(_ask(charlie, row, ids)) for ids in (theirs, absent))
        if foreign != random or foreign[0] not in (403, 404):
            told.append((row.method, row.path, foreign, random))

    assert told == []
    assert owned.now() == before
