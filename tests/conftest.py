"""The suite's ground: a database of its own, the sandbox provider, a real server, a cast of three.

Nothing is cleaned between tests: each has companies of its own, which is how the hub keeps its
tenants apart too. What belongs to the whole hub (a model's override, a rate) is put back by whoever
changes it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from django.conf import settings
from django.db import connection
from django.test.utils import teardown_databases

from ai_providers.adapters import http
from ai_providers.adapters.registry import ADAPTERS
from ai_usage.services import rate_script
from megahub.kernel import scope
from megahub.kernel.static import StaticFiles
from megahub.tenancy import guarding, protection
from megahub.tenancy.models import Company
from megahub.tenancy.scoping import Scoped
from tests import canaries, databases, document, recording
from tests.stubs import Scripted
from tests.world import Cast, Person, make_cast


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-examples",
        choices=["missing", "all"],
        help="keep the most telling exchange of each operation as its example in the OpenAPI document",
    )


#: Tests of rules, texts, documents, processes, and of what is refused before a database is asked: they
#: ask none, bring their own, or say the same of each. No promise of docs/reliability.md is among them.
ANY_DATABASE = (
    "catalogue", "wire", "sandbox", "launcher", "chaos", "browser", "test_contract.py",
    "test_api_coverage.py", "test_bad_input_everywhere.py", "test_house.py", "test_translations.py",
    "test_documents.py", "test_production.py", "test_schema.py",
    "ai_providers/test_messages.py", "ai_providers/test_params.py", "ai_providers/test_params_any.py",
    "ai_providers/test_params_values.py", "ai_providers/test_pricing.py", "ai_providers/test_shapes.py",
    "ai_providers/test_tokens.py", "kernel/test_body.py", "kernel/test_clock.py", "kernel/test_errors.py",
    "kernel/test_logs.py", "kernel/test_money.py", "kernel/test_personal.py", "kernel/test_surfaces.py",
    "kernel/test_vault.py", "delivery/test_addresses.py", "ai_core/test_retry.py", "ai_core/test_states.py",
    "ai_usage/test_alert_rules.py", "ai_usage/test_budget_rules.py", "ai_usage/test_rate_rules.py",
    "ai_core/test_gate_rules.py", "ai_core/test_kinds.py", "ai_providers/test_gathering.py",
    "ai_openai/test_chat_domain.py", "ai_openai/test_models_api.py", "kernel/test_cache.py",
    "kernel/test_env.py", "kernel/test_static.py", "delivery/test_signing.py", "test_bad_input.py",
    "admin/test_admin_french.py", "audit/test_register.py", "security/test_gateways.py",
    "security/test_pages.py", "security/test_requirement_02", "security/test_requirement_06",
    "security/test_requirement_08", "security/test_requirement_09", "security/test_requirement_14",
    "security/test_requirement_17", "security/test_requirement_18", "security/test_requirement_19",
    "security/test_requirement_24", "security/test_requirement_25",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(ANY_DATABASE):
            item.add_marker("any_database")


def pytest_configure(config: pytest.Config) -> None:
    recording.WANTED = bool(config.getoption("--record-examples"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--record-examples"):
        recording.write(afresh=session.config.getoption("--record-examples") == "all")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        canaries.printed(report.nodeid, report.sections)


@pytest.fixture(autouse=True, scope="session")
def no_secret_is_left(database: None) -> Iterator[None]:
    """No secret of this run in what it printed, sent, told Redis or wrote into files."""
    canaries.plant()
    yield
    assert canaries.everywhere() == []


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """No test reaches beyond this machine's loopback and its Unix sockets."""
    real = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test tried to reach {host}")
        return real(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = real  # type: ignore[method-assign]


@pytest.fixture(autouse=True, scope="session")
def one_look_at_static_files() -> Iterator[None]:
    """Each of Django's test clients makes the middlewares anew: a look at a thousand files."""
    real = StaticFiles.add_files_from_finders
    found: dict[str, Any] = {}

    def add_files_from_finders(self: StaticFiles) -> None:
        if not found:
            real(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StaticFiles, "add_files_from_finders", add_files_from_finders)
        yield


@pytest.fixture(autouse=True, scope="session")
def database(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """The test database, open to every thread; what holds connections is closed at the end."""
    with django_db_blocker.unblock():
        # A pool that is there already leads into the developer's database, not the tests'.
        assert not hasattr(connection, "_connection_pools") or not connection._connection_pools
        created = databases.make()
        take_a_net_away()
        owner = sign_in_as_application()
        yield
        from ai_core.services import spooling
        from ai_core.services.sessions import PROCESS
        from megahub.kernel import journal, loop

        close_provider_connections()
        journal.stop()
        PROCESS.end()
        spooling.SPOOL.close()
        loop.close_reader_connections()
        end_other_sessions()
        sign_in_as(owner)
        teardown_databases(created, verbosity=0)


def take_a_net_away() -> None:
    """``PYTEST_NET=rows`` runs without the managers' scoping, ``managers`` without row-level security.

    Each alone must keep strangers out (tests/test_isolation.py).
    """
    net = os.environ.get("PYTEST_NET")
    if net == "rows":
        Scoped.of = of_nobody  # type: ignore[method-assign]
    elif net == "managers":
        row_security("DISABLE")


real_of = Scoped.of


def of_nobody(self: Scoped[Any], company_id: int) -> Any:
    """``Scoped.of`` without its filter. What tests look up themselves, and the hub's own work, has no other
    net."""
    all_rows = scope.current() == scope.EVERYBODY
    return real_of(self, company_id) if all_rows else self.unscoped()


def row_security(word: str) -> None:
    """``ENABLE`` or ``DISABLE`` every table's policies."""
    with as_owner() as cursor:
        for model in protection.tenants():
            cursor.execute(f"ALTER TABLE {model._meta.db_table} {word} ROW LEVEL SECURITY")


#: Who the suite was before it signed in as the application.
OWNERS: list[str] = []


def sign_in_as_application() -> str:
    """From here on as the role that owns nothing, as web and worker do; who it was before."""
    owner = str(connection.settings_dict["USER"])
    OWNERS.append(owner)
    if connection.vendor == "postgresql" and settings.HUB_ROW_SECURITY:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin", [guarding.ROLE])
            if cursor.fetchone():
                # Tables of their own are made by tests only.
                cursor.execute(f"GRANT CREATE ON SCHEMA public TO {guarding.ROLE}")
                sign_in_as(guarding.ROLE)
    return owner


@contextmanager
def as_owner() -> Iterator[Any]:
    """A cursor of the role that owns the tables: for what the application's role may not do."""
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            yield cursor
        return
    with closing(connection.copy()) as own:
        role = OWNERS[-1] if OWNERS else connection.settings_dict["USER"]
        options = {k: v for k, v in connection.settings_dict["OPTIONS"].items() if k != "pool"}
        own.settings_dict = {**connection.settings_dict, "USER": role, "OPTIONS": options}
        with own.cursor() as cursor:
            yield cursor


def sign_in_as(role: str) -> None:
    """Another role for every new connection; the kept ones are closed."""
    if connection.vendor == "postgresql":
        connection.close()
        connection.close_pool()
        connection.settings_dict["USER"] = role


def close_provider_connections() -> None:
    """Each loop closes its own; that of jobs which ran without a server ends with the process only."""
    for running in list(http._sessions):
        if running.is_running():
            asyncio.run_coroutine_threadsafe(http.close(), running).result(timeout=5)
    for running in list(rate_script._wires):
        if running.is_running():
            asyncio.run_coroutine_threadsafe(rate_script.close(), running).result(timeout=5)


def end_other_sessions() -> None:
    """Connections of threads that have ended linger; PostgreSQL would not drop a database under them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox provider in a process of its own."""
    folder = tmp_path_factory.mktemp("sandbox")
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0", "--files-dir", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = line.split()[-1]
    assert url.startswith("http://127.0.0.1:"), line
    settings.HUB_SANDBOX_URL = url
    yield url
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


class Server(uvicorn.Server):
    """uvicorn in a thread: the same application object that production serves."""

    def install_signal_handlers(self) -> None:
        """Signals are the main thread's."""


@pytest.fixture(scope="session")
def live_url(sandbox_url: str, database: None) -> Iterator[str]:
    """The hub itself, listening on loopback."""
    from megahub.asgi import application

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application, lifespan="on", log_level="error", loop="uvloop")
    server = Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    CLIENT.close()
    server.should_exit = True
    thread.join(timeout=20)


@dataclass
class Api:
    """A client of the live server; ``as_`` says who calls."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def as_(self, person: Person | str | None, **headers: str) -> Api:
        """The same client with a person's token (or any token), and more headers (``x_y`` is X-Y)."""
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        if person is not None:
            token = person if isinstance(person, str) else person.token
            found["Authorization"] = f"Bearer {token}"
        return Api(self.url, found)

    def request(self, method: str, path: str, **kwargs: Any) -> httpx2.Response:
        headers = {**self.headers, **kwargs.pop("headers", {})}
        response = CLIENT.request(method, self.url + path, headers=headers, **kwargs)
        document.check(method, path, response)
        if recording.WANTED:
            recording.see(method, path, kwargs.get("json"), response)
        return response

    def get(self, path: str, **kwargs: Any) -> httpx2.Response:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> httpx2.Response:
        return self.request("POST", path, json=json, **kwargs)


CLIENT = httpx2.Client(timeout=30, trust_env=False)


@pytest.fixture
def api(live_url: str) -> Api:
    """An anonymous client of the live server."""
    return Api(live_url)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """``provider(answer, …)`` puts a scripted provider in OpenAI's place for this test."""

    def put(*answers: Any) -> Scripted:
        scripted = Scripted(*answers)
        monkeypatch.setitem(ADAPTERS, "openai", scripted)
        return scripted

    return put


_numbers = itertools.count(1)


@pytest.fixture
def cast(sandbox_url: str) -> Cast:
    """Alice owns a company, Bob is her member, Charlie owns another: fresh ones for each test."""
    return make_cast(next(_numbers))


@pytest.fixture(scope="module")
def kept_cast(sandbox_url: str) -> Cast:
    """One cast for all tests of a module: for those that only look."""
    return make_cast(next(_numbers))


@pytest.fixture
def alone(cast: Cast) -> Iterator[None]:
    """No company but the cast's is active: what is done for each of them is done for few."""
    others = Company.objects.filter(is_active=True).exclude(
        pk__in=[cast.company.pk, cast.charlie.company.pk]
    )
    asleep = list(others.values_list("pk", flat=True))
    others.update(is_active=False)
    yield
    Company.objects.filter(pk__in=asleep).update(is_active=True)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], str]]:
    """The bells that were rung (task, arguments, queue), instead of ringing them."""
    from megahub.kernel import queue as bells

    heard: list[tuple[str, tuple[Any, ...], str]] = []
    monkeypatch.setattr(
        bells, "ring", lambda task, *args, queue="normal": heard.append((task, args, queue))
    )
    return heard
