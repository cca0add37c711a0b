"""The journal's transactions: one trip, all or nothing, and fit for the next one whatever happened."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from megahub.kernel import session as kernel_session
from megahub.kernel.journal import is_database_error
from megahub.kernel.session import PLAN_AGAIN_AFTER, NotMet, PostgresSession, Session, open_session
from tests.ai_core.test_cancel import wait_until

INSERT = "INSERT INTO hub_item (id, text) VALUES (%s, %s)"
UPDATE = "UPDATE hub_item SET text = %s WHERE id = %s"
SELECT = "SELECT text FROM hub_item WHERE id = %s"
MOMENT = datetime(2026, 11, 20, 10, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def session(database: None) -> Iterator[Session]:
    """A session of this thread, and an empty table ``hub_item``."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS hub_item (id bigint PRIMARY KEY, text varchar(9))")
        cursor.execute("DELETE FROM hub_item")
    opened = open_session()
    yield opened
    opened.close()


def stored() -> list[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, text FROM hub_item ORDER BY id")
        return cursor.fetchall()


def test_it_works(session: Session) -> None:
    with session.transaction():
        session.execute(INSERT, [1, "one"])
        found = session.rows(SELECT, [1])
        touched = session.count(UPDATE, ["uno", 1]), session.count(UPDATE, ["dos", 2])

    assert (found, touched) == ([("one",)], (1, 0))
    assert stored() == [(1, "uno")]


def test_what_was_asked_is_there_after_commit(session: Session) -> None:
    with session.transaction():
        asked = session.ask(f"{INSERT} RETURNING text, id", [1, "one"])
        session.execute(INSERT, [2, "two"])
        session.commit()
        assert (asked.rows, asked.count) == ([("one", 1)], 1)

    assert stored() == [(1, "one"), (2, "two")]


@pytest.mark.parametrize("value", ["", "é 漢字", None, "%s", "$1", "'"])
def test_any_text(session: Session, value: str | None) -> None:
    with session.transaction():
        session.execute(INSERT, [1, value])
        assert session.rows(SELECT, [1]) == [(value,)]


def test_values_that_are_not_texts(session: Session) -> None:
    cast = "%s::timestamptz" if isinstance(session, PostgresSession) else "%s"
    with session.transaction():
        ((moment,),) = session.rows(f"SELECT {cast}", [session.time(MOMENT)])
        rows = session.rows(
            f"SELECT id FROM hub_item WHERE %s OR id = %s{session.for_update}", [False, 2**62]
        )

    assert str(moment)[:19] == "2026-11-20 10:30:00"
    assert rows == []


@pytest.mark.parametrize("travelled", [False, True])
def test_an_exception_undoes_everything(session: Session, travelled: bool) -> None:
    with pytest.raises(KeyError), session.transaction():
        session.execute(INSERT, [1, "one"])
        if travelled:
            session.rows(SELECT, [1])
        session.execute(INSERT, [2, "two"])
        raise KeyError

    assert stored() == []
    test_it_works(session)


@pytest.mark.parametrize("statement", ["SELECT nonsense FROM hub_item", INSERT.replace("text", "colour")])
def test_a_statement_that_cannot_be(session: Session, statement: str) -> None:
    """Found when it is prepared; what came with it is undone and can be prepared again."""
    for _ in range(2):
        with pytest.raises(Exception) as caught, session.transaction():
            session.execute(INSERT, [1, "one"])
            session.ask(statement, [7, "seven"] if "INTO" in statement else [])
            session.execute(UPDATE, ["uno", 1])
        assert is_database_error(caught.value)

    assert stored() == []
    test_it_works(session)


def test_a_constraint_that_says_no(session: Session) -> None:
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"), session.transaction():
        session.execute(INSERT, [1, "one"])
        session.execute(INSERT, [1, "again"])

    assert stored() == []
    test_it_works(session)


def test_the_first_error_is_told(session: Session) -> None:
    with pytest.raises(Exception, match="nonsense"), session.transaction():
        session.execute("SELECT nonsense")
        session.execute("SELECT rubbish")


class TestRequire:
    def test_met(self, session: Session) -> None:
        with session.transaction():
            session.execute(INSERT, [1, "one"])
            session.require(UPDATE, ["uno", 1])

        assert stored() == [(1, "uno")]

    @pytest.mark.parametrize("explicit", [False, True])
    def test_not_met(self, session: Session, explicit: bool) -> None:
        with pytest.raises(NotMet), session.transaction():
            session.execute(INSERT, [1, "one"])
            session.require(UPDATE, ["dos", 2])
            if explicit:
                session.commit()

        assert stored() == []
        test_it_works(session)


def test_a_lost_connection_is_made_anew(session: Session) -> None:
    with session.transaction():
        session.execute(INSERT, [1, "one"])
    if not isinstance(session, PostgresSession):
        connection.close()
        assert stored() == [(1, "one")]
        return
    end = "SELECT pg_terminate_backend(pg_backend_pid())"

    with pytest.raises(Exception) as caught, session.transaction():
        session.execute(INSERT, [2, "two"])
        session.rows(end)

    assert is_database_error(caught.value)
    session.close()
    assert stored() == [(1, "one")]
    with session.transaction():
        session.execute(INSERT, [3, "three"])
    assert stored() == [(1, "one"), (3, "three")]


def test_who_is_stopped_in_mid_transaction_does_not_keep_its_locks(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is between two trips then: it does not count as idle."""
    if not isinstance(session, PostgresSession):
        pytest.skip("SQLite's locks are their process's own")
    monkeypatch.setattr(kernel_session, "TRANSACTION_SECONDS", 0.2)
    with pytest.raises(Exception, match="transaction timeout") as caught, session.transaction():
        ((pid,),) = session.rows("SELECT pg_backend_pid()")
        session.rows(f"{INSERT} RETURNING id", [1, "one"])
        with ThreadPoolExecutor(1) as other:
            other.submit(_wait_for_its_end, pid).result()
        session.rows("SELECT 1")

    assert is_database_error(caught.value)
    session.close()
    assert stored() == []
    test_it_works(session)


def _wait_for_its_end(pid: int) -> None:
    """In a thread with a connection of its own."""

    def is_gone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
            return cursor.fetchone() is None

    try:
        wait_until(is_gone)
    finally:
        connection.close()


class TestPlans:
    """PostgreSQL keeps the plan that it made first, however much its table grows afterwards."""

    @pytest.fixture
    def postgres(self, session: Session) -> PostgresSession:
        if not isinstance(session, PostgresSession):
            pytest.skip("SQLite plans each statement as it comes")
        return session

    def test_statements_are_prepared_once(self, postgres: PostgresSession) -> None:
        for number in range(3):
            with postgres.transaction():
                postgres.execute(INSERT, [number, "x"])
        with postgres.transaction():
            rows = postgres.rows("SELECT statement, generic_plans FROM pg_prepared_statements")

        plans: dict[str, Any] = dict(rows)
        assert plans["INSERT INTO hub_item (id, text) VALUES ($1, $2)"] == 3

    def test_who_is_interrupted_leaves_no_answers_behind(self, postgres: PostgresSession) -> None:
        """Between a question and its answer: what comes next must not find them."""
        with postgres.transaction():
            wait = postgres._raw.wait

        def interrupted(trip: Any) -> Any:
            postgres._raw.wait = wait
            next(trip)
            raise KeyboardInterrupt

        postgres._raw.wait = interrupted
        with pytest.raises(KeyboardInterrupt), postgres.transaction():
            postgres.rows("SELECT 1")

        with connection.cursor() as cursor:
            cursor.execute("SELECT 2")
            assert cursor.fetchone() == (2,)
        with postgres.transaction():
            assert postgres.rows("SELECT 3") == [(3,)]

    def test_they_are_planned_anew_as_tables_grow(self, postgres: PostgresSession) -> None:
        grow = "INSERT INTO hub_item SELECT n, 'x' FROM generate_series(1, 20000) n"
        plans = []
        for statement in (grow, *["SELECT 1"] * min(PLAN_AGAIN_AFTER)):
            with postgres.transaction():
                postgres.rows("SELECT count(*) FROM hub_item WHERE text = %s", ["y"])
                plans.append(postgres.rows("EXPLAIN EXECUTE hub_2('y')"))
                postgres.execute(statement)

        assert plans[0] == plans[1]
        assert plans[0] != plans[-1]


def test_closing_leaves_nothing_behind(session: Session) -> None:
    """What the journal sets on its connection must not come back to the ORM from a pool."""
    with session.transaction():
        session.execute(INSERT, [1, "one"])
    session.close()

    if isinstance(session, PostgresSession):
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            assert cursor.fetchone() == ("on",)
            cursor.execute("SELECT count(*) FROM pg_prepared_statements")
            assert cursor.fetchone() == (0,)
