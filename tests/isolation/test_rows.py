"""PostgreSQL shows a company its own rows only, whatever the code above it asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, ProgrammingError, connection, models, transaction

from megahub.kernel import scope
from megahub.kernel.sql import on_postgres
from megahub.tenancy import guarding, protection
from megahub.tenancy.models import Company
from tests.isolation import rows
from tests.world import Cast

pytestmark = pytest.mark.skipif(
    not on_postgres() or not settings.HUB_ROW_SECURITY or os.environ.get("PYTEST_NET") == "managers",
    reason="row-level security: on PostgreSQL, unless PYTEST_ROW_SECURITY=0",
)
TENANTS = [model for model in protection.tenants() if model is not Company]


@pytest.fixture
def undone(cast: Cast) -> Iterator[Cast]:
    """Rows made here stand for nothing that works: none of them stays."""
    with transaction.atomic():
        yield cast
        transaction.set_rollback(True)


def ask(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_every_table_has_it_under_force() -> None:
    """A table without is one that ``migrate`` has not seen with today's models."""
    on = {
        name for (name,) in ask("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
    }

    assert {model._meta.db_table for model in protection.tenants()} <= on
    with_company = "SELECT table_name FROM information_schema.columns WHERE column_name = 'company_id'"
    tables = ask(
        f"{with_company} AND table_schema = current_schema() AND table_name IN"
        " (SELECT relname FROM pg_class WHERE relkind = 'r')"
    )
    assert {str(name) for (name,) in tables} <= {str(name) for name in on}


def test_views_read_with_their_readers_rights() -> None:
    assert ask(guarding.OPEN_VIEWS) == []


def test_the_application_owns_nothing() -> None:
    """As ``./hub up`` and compose have it; a database of one's own with a single role is bound by FORCE."""
    role, is_super, bypasses, owned = ask(
        "SELECT current_user, rolsuper, rolbypassrls,"
        " (SELECT count(*) FROM pg_tables WHERE tableowner = current_user AND tablename NOT LIKE 'hub_%')"
        " FROM pg_roles WHERE rolname = current_user"
    )[0]

    assert (is_super, bypasses) == (False, False)
    if role == guarding.ROLE:
        assert owned == 0


def test_what_the_application_may_not_change() -> None:
    """The ledger and the trail are added to; what has been migrated is for their owner to say."""
    if ask("SELECT current_user")[0][0] != guarding.ROLE:
        pytest.skip("a database with a single role")
    found = ask(
        "SELECT relname, has_table_privilege(oid, 'INSERT') FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace = current_schema()::regnamespace AND relowner <> current_user::regrole"
        " AND NOT has_table_privilege(oid, 'UPDATE') AND NOT has_table_privilege(oid, 'DELETE') ORDER BY 1"
    )

    assert found == [
        ("ai_usage_ledgerentry", True),
        ("audit_auditentry", True),
        ("django_migrations", False),
    ]


@pytest.mark.parametrize("model", TENANTS, ids=lambda m: m._meta.label)
def test_a_row_is_seen_by_its_own_company_only(undone: Cast, model: type[models.Model]) -> None:
    ours, theirs = undone.company, undone.charlie.company
    mine = rows.plain_manager(model).filter(pk=rows.make(model, ours).pk)

    with scope.of(ours.pk):
        assert mine.count() == 1
    with scope.of(theirs.pk):
        assert mine.count() == 0
        if not getattr(model, "append_only", False):  # of those nobody may ask for it
            assert mine.delete() == (0, {})
    with scope.kept():
        scope.enter_nobody()
        assert mine.count() == 0


@pytest.mark.parametrize(
    "model", [m for m in TENANTS if protection.is_owned(m)], ids=lambda m: m._meta.label
)
def test_a_row_is_written_for_its_own_company_only(undone: Cast, model: type[models.Model]) -> None:
    made = rows.make(model, undone.company)
    values = {f.attname: getattr(made, f.attname) for f in model._meta.concrete_fields}
    values.pop(model._meta.pk.attname)

    with pytest.raises(ProgrammingError, match="row-level security"), scope.of(undone.charlie.company.pk):
        _insert(model, values)


def _insert(model: type[models.Model], values: dict[str, object]) -> None:
    with transaction.atomic():
        model(**values).save(force_insert=True)


class TestTheConnection:
    """What a connection was told for one scope is never used for another."""

    def seen(self) -> object:
        return ask("SELECT current_setting('app.company', true)")[0][0]

    def test_outside_of_a_transaction(self) -> None:
        with scope.of(7):
            assert self.seen() == "7"
        assert self.seen() == "*"

    def test_inside_and_after_a_transaction(self) -> None:
        with scope.of(7), transaction.atomic():
            assert self.seen() == "7"
        with scope.of(8):
            with transaction.atomic():
                assert self.seen() == "8"
            assert self.seen() == "8"

    def test_after_what_was_rolled_back(self) -> None:
        with transaction.atomic():
            with scope.of(7), pytest.raises(DatabaseError), transaction.atomic():
                assert self.seen() == "7"
                ask("SELECT nonsense FROM nowhere")
            assert self.seen() == "*"
            with scope.of(7):
                assert self.seen() == "7"
