"""The hub's own processes as the launcher starts them, on the suite's database and ports of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
from django.db import connection

from ai_core.models import AIJob, WorkerSession
from megahub.kernel import clock
from tools import processes, rabbit, servers, services
from tools.processes import Program

CHOSEN = ("HUB_", "AI_", "OPENAI_", "INFOMANIAK_", "DATABASE_URL", "REDIS_URL", "CELERY_", "DJANGO_")
PATIENCE_SECONDS = 30.0


def clean_env(**chosen: str) -> dict[str, str]:
    """The environment without what chooses servers, keys and places, and what is chosen here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CHOSEN)}
    return {**kept, **chosen}


def database_url() -> str:
    """The suite's own database, for another process."""
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    user, password, host = (quote(facts[name], safe="") for name in ("USER", "PASSWORD", "HOST"))
    port = f":{facts['PORT']}" if facts["PORT"] else ""
    return f"postgres://{user}:{password}@{host}{port}/{facts['NAME']}"


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What another process does, as soon as it has."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


class Hub:
    """Processes of one hub in ``folder``; with ``redis`` a broker of its own, else files."""

    def __init__(self, folder: Path, sandbox_url: str, **chosen: str) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.port = services.free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = clean_env(
            **{
                "DJANGO_SETTINGS_MODULE": "megahub.settings.test",
                "DATABASE_URL": database_url(),
                "HUB_SANDBOX_URL": sandbox_url,
                "HUB_VAR": str(folder),
                **chosen,
            }
        )

    def start(self, program: Program) -> subprocess.Popen[bytes]:
        self.started.append(processes.start(program, self.log(program.name), self.folder))
        return self.started[-1]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def redis(self) -> None:
        """A Redis of this hub's own as its broker."""
        server, port = servers.find_redis(), services.free_port("127.0.0.1")
        assert server is not None
        how = f"--port {port} --bind 127.0.0.1 --dir {self.folder} --save".split()
        self.start(Program("redis", [server, *how, ""], processes.environment_without_keys()))
        self.env["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"

    def rabbit(self) -> None:
        """A RabbitMQ of this hub's own as its broker."""
        found = rabbit.find()
        assert found is not None
        programs, url = rabbit.programs(found, self.folder / "rabbit")
        for program in programs:
            self.start(program)
        port = urlsplit(url).port
        assert port is not None
        wait_for(partial(_listens, port), 90)
        self.env["CELERY_BROKER_URL"] = url

    def web(self, patience_seconds: int = 30) -> subprocess.Popen[bytes]:
        """A web process; ``ready`` waits for it."""
        program = services.web("127.0.0.1", self.port, self.env)
        assert program.command[-2:] == ["--timeout-graceful-shutdown", "30"]
        program.command[-1] = str(patience_seconds)
        return self.start(program)

    def worker(self) -> subprocess.Popen[bytes]:
        """A worker process; ``ready`` waits for it. What other tests left waiting is not its work."""
        AIJob.objects.unscoped().filter(status="pending").update(ring_at=None)
        return self.start(services.worker(self.env))

    def beat(self) -> subprocess.Popen[bytes]:
        return self.start(services.beat(self.env, self.folder / "beat-schedule"))

    def ready(self, *processes: subprocess.Popen[bytes]) -> None:
        """Wait until these (web or worker) have a session that beats."""
        for process in processes:
            wait_for(partial(self._has_session, process))

    def _has_session(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, "\n".join(log.read_text() for log in self.folder.glob("*.log"))
        return WorkerSession.objects.filter(pid=process.pid, ended_at=None).exists()

    def post(self, token: str, path: str, body: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.post(self.url + path, json=body, headers=headers, timeout=30, trust_env=False)

    def end(self) -> None:
        """Kill what still runs, by its own pid; its sessions end with it."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # each has a session of its own
        for process in self.started:
            process.wait()
        pids = [process.pid for process in self.started]
        WorkerSession.objects.filter(pid__in=pids, ended_at=None).update(ended_at=clock.now())

    def listens(self) -> bool:
        """Whether the web process takes connections."""
        return _listens(self.port)
