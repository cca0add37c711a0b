"""One launch: the servers and processes of a hub, begun in order, none of them left at its end."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tools import keys, places, processes, servers, services
from tools.client import Client, NoAnswer
from tools.report import ROOT, Fault, Stopped, reason, say
from tools.supervisor import Supervisor

READY_SECONDS = 120.0
LOOK_SECONDS = 0.05


class Signals:
    """SIGINT, SIGTERM and SIGHUP: the first one ends the launch gently, a second one at once."""

    def __init__(self) -> None:
        self.is_ending = False
        self.is_urgent = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._come)

    def _come(self, number: int, frame: FrameType | None) -> None:
        self.is_urgent = self.is_ending
        if not self.is_ending:
            self.is_ending = True
            raise Stopped


class Launch:
    """A context; its ``env`` is what the hub's processes are told."""

    def __init__(self, var: Path) -> None:
        self.places = places.make(var)
        self.lock = places.lock(self.places)
        self.supervisor = Supervisor(self.places)
        self.run_id = os.environ["HUB_RUN_ID"] = secrets.token_hex(8)
        self.env = {**os.environ, "HUB_VAR": str(self.places.var)}
        self.database = ""
        self.signals = Signals()

    def __enter__(self) -> Launch:
        processes.end_recorded(self.places.pids)
        ends = ((int(signal.SIGTERM), 60.0),)
        processes.record("launcher", os.getpid(), -1, ends, self.places.pids)
        return self

    def __exit__(self, *_: object) -> None:
        self.signals.is_ending = True
        self.supervisor.end(lambda: self.signals.is_urgent)
        processes.forget("launcher", self.places.pids)
        places.forget_sockets(self.places)
        self.lock.close()

    def open_servers(self, *, careless: bool = False) -> None:
        """Database and broker. A ``careless`` one may lose its data in a crash of the machine."""
        url = servers.open_database(self.places, self.supervisor, careless=careless)
        self.database = servers.for_processes(self.places, url)
        self.env |= {"DATABASE_URL": url, **servers.open_broker(self.places, self.supervisor)}

    def open_sandbox(self, host: str = "127.0.0.1") -> None:
        """The sandbox provider on a free port."""
        port = services.free_port(host)
        self.supervisor.start(services.sandbox(port))
        self.env["HUB_SANDBOX_URL"] = f"http://{host}:{port}"
        say(f"Provider: the sandbox on {host}:{port}; it costs nothing.")

    def prepare(self, password: str) -> dict[str, Any]:
        """Migrations and the demo's people: what ``tools/prepare.py`` tells. Raises Fault."""
        done = subprocess.run(
            services.module("tools.prepare"),
            cwd=ROOT,
            env=self.env,
            input=json.dumps({"password": password}),
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            preexec_fn=processes.die_with_parent(signal.SIGKILL),
        )
        log = self.places.log("prepare")
        keys.write_private(log, done.stderr)
        if done.returncode:
            raise Fault(f"The database cannot be prepared: {reason(done.stderr)} (see {log}).")
        say("Migrated; the demo's companies and people are there.")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def open_hub(self, host: str, port: int) -> None:
        """Web and worker, until they say that they are ready; then beat. Raises Fault."""
        self.env["DATABASE_URL"] = self.database
        self.supervisor.start(services.web(host, port, self.env))
        self.supervisor.start(services.worker(self.env))
        client = Client(services.address(host, port))
        self._wait(client, "/healthz", lambda body: body.get("run_id") == self.run_id)
        self._wait(client, "/readyz", lambda body: body.get("status") == "ok")
        self.supervisor.start(services.beat(self.env, self.places.var / "beat-schedule"))
        say("Ready: web, worker and beat.")

    def _wait(self, client: Client, path: str, is_good: Callable[[Any], bool]) -> None:
        until, said = time.monotonic() + READY_SECONDS, ""
        while time.monotonic() < until:
            self.supervisor.check()
            try:
                _, body = client.get(path, timeout=10.0)
                if isinstance(body, dict) and is_good(body):
                    return
                said = json.dumps(body)
            except NoAnswer as error:
                said = str(error)
            time.sleep(LOOK_SECONDS)
        raise Fault(f"{path} is not well after {READY_SECONDS:g} s: {said}.")
