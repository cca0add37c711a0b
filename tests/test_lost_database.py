"""The database goes away in mid-request: a documented answer, nothing half-written, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from psycopg_pool import ConnectionPool, PoolTimeout

from ai_core.models import AIJob
from ai_core.services import endings
from megahub.kernel import journal, loop
from megahub.kernel.session import Session, open_session
from megahub.tenancy import authentication
from tests import world
from tests.ai_core.test_cancel import wait_until
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
URL = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


class Outage:
    """Transactions of the journal fail with a lost connection while it is ``down``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.down = threading.Event()
        used = type(open_session())
        real = used.transaction
        lost = journal.connection_lost

        def transaction(session: Session, scope: str) -> Any:
            if self.down.is_set():
                raise ConnectionError("the server went away")
            return real(session, scope)

        monkeypatch.setattr(used, "transaction", transaction)
        monkeypatch.setattr(journal, "connection_lost", lambda: self.down.is_set() or lost())


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


def only_job(cast: Cast) -> AIJob:
    return AIJob.objects.of(cast.company.pk).get()  # type: ignore[no-any-return]


def test_before_the_job_is_accepted(api: Api, cast: Cast, provider: Provider, outage: Outage) -> None:
    scripted = provider(completion())
    budget = world.make_budget(cast.company, "5")
    api.as_(cast.alice).get("/v1/models")
    outage.down.set()

    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json()["error"] == {
        "message": ("The hub's database does not answer; nothing was changed. Try again in a moment."),
        "type": "server_error",
        "param": None,
        "code": "database_unavailable",
    }
    outage.down.clear()
    assert scripted.calls == []
    assert not AIJob.objects.of(cast.company.pk).exists()
    assert world.window(budget) is None


def test_a_short_outage_during_the_call_is_not_noticed(
    api: Api, cast: Cast, provider: Provider, outage: Outage
) -> None:
    budget = world.make_budget(cast.company, "5")

    async def fall(*_: Any) -> Any:
        outage.down.set()
        threading.Timer(0.5, outage.down.clear).start()
        return completion("Hi.")

    provider(fall)

    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 200
    row = only_job(cast)
    assert row.status == "completed"
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, world.ledger(row.pk)[0].charged_nano_usd)


def test_a_long_one_is_told_and_the_result_is_stored_when_it_is_over(
    api: Api,
    cast: Cast,
    provider: Provider,
    outage: Outage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = world.make_budget(cast.company, "5")
    monkeypatch.setattr(endings, "PATIENCE_SECONDS", 0.2)

    async def fall(*_: Any) -> Any:
        outage.down.set()
        return completion("Hi.")

    provider(fall)

    response = api.as_(cast.alice).post("/ai/openai/chat/", BODY)

    assert response.status_code == 503
    answer = response.json()
    assert answer["error_code"] == "DATABASE_UNAVAILABLE"
    outage.down.clear()
    row = only_job(cast)
    assert answer["job_id"] == row.job_id
    wait_until(lambda: only_job(cast).status == "completed")
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, world.ledger(row.pk)[0].charged_nano_usd)
    result = api.as_(cast.alice).get(f"/ai/openai/completion/job_result/?job_id={row.job_id}")
    assert result.json()["result"]["completion"] == "Hi."


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connections to cut")
def test_connections_that_the_server_cuts_are_made_anew(api: Api, cast: Cast, provider: Provider) -> None:
    """For real: every connection of this database is terminated between acceptance and settlement."""
    budget = world.make_budget(cast.company, "5")

    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    async def fall(*_: Any) -> Any:
        await loop.in_thread(cut)
        return completion("Hi.")

    provider(fall)

    response = api.as_(cast.alice).post(URL, BODY)

    assert response.status_code == 200
    connection.close()
    row = only_job(cast)
    assert row.status == "completed"
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, world.ledger(row.pk)[0].charged_nano_usd)
    again = api.as_(cast.alice).post(URL, BODY)
    connection.close()
    assert again.status_code == 200


@pytest.mark.parametrize("path", [URL, "/ai/openai/chat/", "/ai/jobs/"])
def test_while_nobody_can_be_recognised(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A pool that gives no connection is a 503, not an error of ours with a traceback for each caller."""

    async def away(*_: Any) -> None:
        raise OperationalError("couldn't get a connection after 5.00 sec")

    def gone(*_: Any) -> None:
        raise OperationalError("couldn't get a connection after 5.00 sec")

    monkeypatch.setattr(authentication, "acaller_for", away)
    monkeypatch.setattr(authentication, "caller_for", gone)

    response = api.as_(cast.alice).post(path, BODY)

    assert response.status_code == 503
    assert "DATABASE_UNAVAILABLE" in response.text.upper()
    assert response.headers["retry-after"] == "2"


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no pool")
def test_a_pool_that_met_no_server_is_not_in_a_pause_when_it_is_back(tmp_path: Path) -> None:
    """The pool's own pauses double: after ten minutes without a server they are longer than a minute."""
    options = settings.DATABASES["default"]["OPTIONS"]["pool"]
    with ConnectionPool(f"host={tmp_path} connect_timeout=1", **options, open=True) as pool:
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0.1)

        wait_until(lambda: pool.get_stats()["pool_size"] == 0)  # nothing is planned: the next one tries
        tried = pool.get_stats()["connections_num"]
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0.1)
        wait_until(lambda: pool.get_stats()["connections_num"] == tried + 1)
