"""What every benchmark stands on: servers of its own, processes on cores of their own, a machine's name.

The process under test runs on core 0; the load, the provider and the databases on core 1. Everything
listens on loopback and is ended with the benchmark.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.request import Request, urlopen

from tools import keys, services
from tools.client import Client
from tools.launch import Launch
from tools.report import ROOT

TESTED_CORE, OTHER_CORE = 0, 1
BODY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Say hello to the world, please."}],
    "max_tokens": 20,
}
PASSWORD = "benchmark"
TICKS = os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """The machine in a line."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line),
        platform.processor(),
    )
    memory = next(line.split()[1] for line in _lines("/proc/meminfo") if "MemTotal" in line)
    cores = os.cpu_count()
    return f"{cores} cores {cpu}, {int(memory) // 2**20} GiB, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


@contextmanager
def process(command: list[str], core: int, env: dict[str, str] | None = None) -> Iterator[int]:
    """A process on a core of its own, ended at the end; its pid."""
    started = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield started.pid
    finally:
        os.killpg(started.pid, 15)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, 9)
            started.wait(5)


@contextmanager
def provider(delay_ms: float = 0, tokens: int = 20, between_ms: float = 0) -> Iterator[str]:
    """The benchmark's provider; its address."""
    port = services.free_port("127.0.0.1")
    options = ["--delay-ms", str(delay_ms), "--tokens", str(tokens), "--between-ms", str(between_ms)]
    command = [sys.executable, "-m", "benchmarks.provider", "--port", str(port), *options]
    with process(command, OTHER_CORE):
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/v1/chat/completions", post={})
        yield address


@contextmanager
def servers(var: Path | None = None, *, lite: bool = False) -> Iterator[Launch]:
    """PostgreSQL and Redis of their own, with the demo's people; kept in ``var`` for another run.

    ``lite``: SQLite and no Redis.
    """
    os.sched_setaffinity(0, {OTHER_CORE})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if lite:
            chosen = {"DATABASE_URL": f"sqlite:///{folder}/hub.sqlite3", "REDIS_URL": ""}
            stack.enter_context(patch.dict(os.environ, chosen))
        launch = stack.enter_context(Launch(var or Path(folder) / "var"))
        launch.open_servers()
        launch.env |= {
            **keys.kept(launch.places.var / "keys"),
            "DJANGO_SETTINGS_MODULE": "megahub.settings.dev",
        }
        launch.prepare(PASSWORD)
        _lift_budgets(launch.env)
        yield launch


def _lift_budgets(env: dict[str, str]) -> None:
    """Budgets that a benchmark does not exhaust; they are reserved and settled all the same."""
    statement = "from ai_usage.models import Budget; Budget.objects.unscoped().update(limit=10**15)"
    command = [sys.executable, "manage.py", "shell", "--command", statement]
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)


@contextmanager
def hub(launch: Launch, provider_url: str, core: int = TESTED_CORE) -> Iterator[tuple[str, str, int]]:
    """A web process; its address, a token of alice's and its pid."""
    port = services.free_port("127.0.0.1")
    env = {**launch.env, "HUB_SANDBOX_URL": provider_url, "HUB_PORT": str(port)}
    program = services.web("127.0.0.1", port, env)
    with process(program.command, core, program.env) as pid:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/healthz")
        yield address, token(address), pid


def token(address: str) -> str:
    """An access token of alice's."""
    client = Client(address.removeprefix("http://"))
    told = client.post("/auth/token/", {"username": "alice", "password": PASSWORD})
    return str(told[1]["access"])


def wait_for(url: str, post: Any = None, seconds: float = 90) -> None:
    """Until something answers, whatever it says."""
    until = time.monotonic() + seconds
    data = None if post is None else json.dumps(post).encode()
    while True:
        try:
            with urlopen(Request(url, data=data), timeout=5):
                return
        except OSError as error:
            if getattr(error, "code", None) is not None:
                return
            if time.monotonic() > until:
                raise SystemExit(f"{url} did not come up") from error
            time.sleep(0.2)


def load(url: str, connections: int, seconds: float, **asked: Any) -> dict[str, Any]:
    """Run ``benchmarks.load`` on the other core; what it tells."""
    what = {"url": url, "connections": connections, "seconds": seconds, "body": BODY, **asked}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(what)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {OTHER_CORE}),
    )
    return dict(json.loads(done.stdout))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    line = next(line for line in _lines(f"/proc/{pid}/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def show(title: str, columns: list[str], rows: Iterable[list[Any]]) -> None:
    """A Markdown table, each row printed as it comes."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "|".join("--:" if n else "---" for n in range(len(columns))) + "|", flush=True)
    for row in rows:
        print("| " + " | ".join(_cell(value) for value in row) + " |", flush=True)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return str(value)
