"""Requirement 23: nobody who comes through a door changes or forgets what the trail says.

That each mutating route leaves exactly one entry: tests/audit/test_register.py; that edits, deletions,
other orders and a cut-off end are found: tests/audit/test_trail.py.
"""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from megahub.audit.models import AuditEntry
from megahub.audit.services import verifying
from megahub.kernel.sql import on_postgres
from tests import world
from tests.conftest import Api
from tests.world import Cast

PATH = "/api/ai/security/audit"
CANARY = "sk-canary-0123456789-0123456789-0123456789"


@pytest.fixture
def entries(api: Api, cast: Cast) -> int:
    made = api.as_(cast.alice).post("/auth/keys/", {"name": "canary", "scopes": ["inference"]})
    assert made.status_code == 201
    secret = next(value for value in made.json().values() if str(value).startswith("mh_"))
    found = AuditEntry.objects.of(cast.company.pk)
    assert found.count() == 1
    assert secret not in str(list(found.values()))
    return int(found.count())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_door_only_reads(api: Api, cast: Cast, entries: int, method: str) -> None:
    answer = api.as_(cast.alice).request(method, PATH, json={"reason": "forged"})

    assert answer.status_code == 405
    assert AuditEntry.objects.of(cast.company.pk).count() == entries


def test_others_read_nothing_of_it(api: Api, cast: Cast, entries: int) -> None:
    viewer = world.make_person(f"{cast.alice.user.username}-viewer", cast.company, cast.brand, "viewer")

    assert "canary" in api.as_(cast.alice).get(PATH).text
    assert api.as_(cast.bob).get(PATH).status_code == 403
    assert api.as_(viewer).get(PATH).status_code == 403
    assert api.get(PATH).status_code == 401
    assert "canary" not in api.as_(cast.charlie).get(PATH).text


def test_a_key_that_is_stored_is_not_in_it(api: Api, cast: Cast) -> None:
    api.as_(cast.alice).post("/ai/credentials/", {"openai_api_key": CANARY})

    rows = list(AuditEntry.objects.of(cast.company.pk).values())
    assert rows
    assert CANARY not in str(rows)
    assert CANARY not in api.as_(cast.alice).get(PATH).text


@pytest.mark.skipif(
    not on_postgres() or not settings.HUB_ROW_SECURITY,
    reason="SQLite has neither TRUNCATE nor roles, and without row-level security the suite is the owner",
)
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE audit_auditentry",
        "ALTER TABLE audit_auditentry DISABLE TRIGGER ALL",
        "DROP TABLE audit_auditentry",
        "ALTER TABLE audit_auditentry DISABLE ROW LEVEL SECURITY",
    ],
)
def test_nor_does_the_applications_role(cast: Cast, entries: int, statement: str) -> None:
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
        connection.cursor().execute(statement)

    assert verifying.verify(cast.company.pk).faults == ()
