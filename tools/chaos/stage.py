"""A hub to be broken: servers of its own, proxies before them, two workers, callers' tokens."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from aiohttp import web

from tools import keys, postgres, rabbit, services
from tools.chaos import receiver
from tools.chaos.blows import Tireless
from tools.chaos.plan import Weather
from tools.chaos.proxy import Proxy
from tools.chaos.receiver import Receiver
from tools.client import Client
from tools.launch import Launch
from tools.report import ROOT, Fault, reason

HOST = "127.0.0.1"
#: Who calls, as whom, in which company.
TENANTS = {"demo": "alice", "elsewhere": "charlie"}
TIGHTEN = (
    "from ai_usage.models import Budget; from megahub.tenancy.models import Company;"
    " own = dict(company=Company.objects.get(slug='elsewhere'), scope='company', scope_value='',"
    " period='total', unit='jobs');"
    " Budget.objects.unscoped().update_or_create(**own, defaults={{'limit': {limit}}})"
)
EVENTS = ["job.completed", "job.failed", "job.cancelled"]
T = TypeVar("T")


class Background:
    """An event loop in a thread: proxies, callers and the receiver run while processes are looked after."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="chaos", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def stop(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)


@dataclass(frozen=True)
class Ground:
    """On which servers, with how many workers. ``broker`` None: Redis where there is one, else files."""

    broker: str | None = None
    workers: int = 2


USUAL = Ground()


@dataclass
class Stage:
    """``database_url`` and ``broker_url`` lead around the proxies; ``proxies`` are by server."""

    launch: Launch
    background: Background
    receiver: Receiver
    supervisor: Tireless
    url: str = ""
    database_url: str = ""
    broker_url: str = ""
    provider_log: Path = Path()
    tokens: dict[str, str] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    @property
    def judges_url(self) -> str:
        """The database as its administrator: past whatever keeps rows from the hub's own role."""
        return self.database_url.replace("postgres://hub@", "postgres://postgres@", 1)

    @property
    def broker_program(self) -> str:
        """What the broker's process is called; empty for files."""
        if self.broker_url.startswith("amqp"):
            return "rabbitmq"
        return "redis" if self.broker_url else ""

    def change_weather(self, server: str, weather: Weather | None) -> None:
        """Tell a server's proxy, if it has one."""
        if (proxy := self.proxies.get(server)) is not None:
            self.background.loop.call_soon_threadsafe(proxy.change, weather)

    def watch_until(self, is_over: Callable[[], bool], seconds: float) -> bool:
        """Only start again what dies; whether it was over in time."""
        until = time.monotonic() + seconds
        while not (over := is_over()) and time.monotonic() < until:
            self.supervisor.mend()
            time.sleep(0.5)
        return over

    def close(self) -> None:
        """The proxies and the receiver; the launch ends the processes."""
        for proxy in self.proxies.values():
            self.background.run(proxy.close())
        if self._runner is not None:
            self.background.run(self._runner.cleanup())
        folder = self.launch.places.sockets / "p"
        for file in folder.glob("*") if folder.exists() else ():
            file.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
        self.background.stop()


def leases(seconds: float) -> dict[str, str]:
    """The settings that make a process be given up after so long (megahub/settings/reliability.py)."""
    beats = min(10.0, seconds / 4.5)
    return {
        "HUB_STALE_SECONDS": str(seconds),
        "HUB_BEAT_SECONDS": str(beats),
        "HUB_REAP_SECONDS": str(beats),
    }


def check_environment() -> None:
    """Chaos breaks only what is its own. Raises Fault."""
    for name, own in (("DATABASE_URL", "sqlite"), ("REDIS_URL", ""), ("CELERY_BROKER_URL", "filesystem")):
        given = os.environ.get(name, "")
        if given and not (own and given.startswith(own)):
            raise Fault(f"chaos breaks its servers and so uses its own: unset {name}.")


def build(launch: Launch, seed: int, tight_jobs: int, more: dict[str, str], how: Ground = USUAL) -> Stage:
    """Everything started and ready; ``more`` is told to the hub's processes. Raises Fault.

    Elsewhere may run no more than ``tight_jobs``: its callers meet a full budget.
    """
    launch.supervisor = supervisor = Tireless(launch.places)
    stage = Stage(launch, Background(), Receiver(random.Random(seed)), supervisor)
    _open_servers(stage, how)
    _open_provider(stage)
    port, hook_port = services.free_port(HOST), services.free_port(HOST)
    password = secrets.token_urlsafe(12)
    launch.env |= {
        **keys.kept(launch.places.var / "keys"),
        "DJANGO_SETTINGS_MODULE": "megahub.settings.dev",
        "HUB_PORT": str(port),
        "HUB_ACCESS_TOKEN_MINUTES": "600",
        "HUB_WEBHOOKS_ALLOW_PRIVATE": "1",
        **more,
    }
    stage.database_url = stage.launch.env["DATABASE_URL"]
    launch.prepare(password)
    _tighten(launch, tight_jobs)
    _put_proxies(stage)
    launch.open_hub(HOST, port)
    for number in range(2, how.workers + 1):
        more_of = services.worker(launch.env)
        command = [*more_of.command, "-n", f"worker-{number}@%h"]
        launch.supervisor.start(replace(more_of, name=f"worker-{number}", command=command))
    stage.url = f"http://{services.address(HOST, port)}"
    stage._runner = stage.background.run(receiver.listen(stage.receiver, hook_port))
    introduce(stage, password, hook_port)
    return stage


def _open_servers(stage: Stage, how: Ground) -> None:
    launch = stage.launch
    if os.environ.get("DATABASE_URL", "").startswith("sqlite"):
        os.environ["DATABASE_URL"] = f"sqlite:///{launch.places.var / 'hub.sqlite3'}"
    if how.broker in ("rabbitmq", "files"):
        os.environ["REDIS_URL"] = ""
    if how.broker == "rabbitmq":
        os.environ["CELERY_BROKER_URL"] = rabbit.open_broker(launch.places, launch.supervisor)
    launch.open_servers()


def _tighten(launch: Launch, limit: int) -> None:
    command = [sys.executable, "manage.py", "shell", "--command", TIGHTEN.format(limit=limit)]
    done = subprocess.run(command, cwd=ROOT, env=launch.env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"The tight budget cannot be made: {reason(done.stderr)}.")


def _open_provider(stage: Stage) -> None:
    port = services.free_port(HOST)
    stage.provider_log = stage.launch.places.var / "provider.jsonl"
    stage.provider_log.unlink(missing_ok=True)
    program = services.sandbox(port)
    command = [*program.command, "--log", str(stage.provider_log)]
    stage.launch.supervisor.start(replace(program, command=command))
    front = services.free_port(HOST)
    stage.proxies["provider"] = Proxy((HOST, front), (HOST, port))
    stage.launch.env["HUB_SANDBOX_URL"] = f"http://{HOST}:{front}"


def _put_proxies(stage: Stage) -> None:
    """Before every server that is a process of ours; the hub is told the proxies' addresses."""
    sockets, env = stage.launch.places.sockets, stage.launch.env
    folder = sockets / "p"
    folder.mkdir(mode=0o700, exist_ok=True)
    if env["DATABASE_URL"].startswith("postgres"):
        name = f".s.PGSQL.{postgres.PORT}"
        stage.proxies["database"] = Proxy(folder / name, sockets / name)
        env["DATABASE_URL"] = stage.launch.database = postgres.url_of(folder)
    if env["CELERY_BROKER_URL"].startswith("amqp"):
        stage.broker_url, front = env["CELERY_BROKER_URL"], services.free_port(HOST)
        there = urlsplit(stage.broker_url)
        assert there.port is not None
        stage.proxies["broker"] = Proxy((HOST, front), (HOST, there.port))
        env["CELERY_BROKER_URL"] = stage.broker_url.replace(f":{there.port}/", f":{front}/")
    elif env["REDIS_URL"]:
        stage.broker_url = env["REDIS_URL"]
        stage.proxies["broker"] = Proxy(folder / "redis.sock", sockets / "redis.sock")
        env["REDIS_URL"] = f"unix://{quote(str(folder / 'redis.sock'))}"
    for proxy in stage.proxies.values():
        if isinstance(proxy.here, Path):
            proxy.here.unlink(missing_ok=True)
        stage.background.run(proxy.start())


def introduce(stage: Stage, password: str, hook_port: int, host: str = HOST) -> None:
    """Sign everyone in, and let their companies hear of their jobs. Raises Fault."""
    address = stage.url.removeprefix("http://")
    for tenant, who in TENANTS.items():
        status, pair = Client(address).post("/auth/token/", {"username": who, "password": password})
        if status != 200:
            raise Fault(f"{who} cannot sign in: {pair}")
        stage.tokens[tenant] = pair["access"]
        hook = {"url": f"http://{host}:{hook_port}/hook/{tenant}", "events": EVENTS}
        status, told = Client(address, pair["access"]).post("/ai/webhooks/", hook)
        if status != 201:
            raise Fault(f"{tenant} cannot register a webhook: {told}")
