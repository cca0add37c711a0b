"""A launcher of this checkout in a folder of its own, and what it leaves in the process table."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("HUB_", "AI_", "OPENAI_", "INFOMANIAK_", "DATABASE_URL", "REDIS_URL", "CELERY_", "DJANGO_")
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True, scope="session")
def database() -> None:
    """No test of the launcher needs the suite's database."""


@pytest.fixture
def clean_env() -> dict[str, str]:
    """The environment without what chooses servers, keys and places."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}


class Launcher:
    """A launcher process, its output in files, its hub on a port."""

    def __init__(self, var: Path, env: dict[str, str], command: str, **choices: str) -> None:
        self.var, self.port = var, int(choices.get("HUB_PORT", "0"))
        self.out, self.err = var.with_suffix(".out"), var.with_suffix(".err")
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.stack", command],
                cwd=ROOT,
                env={**env, "HUB_VAR": str(var), **choices},
                stdout=out,
                stderr=err,
            )

    def end(self) -> int:
        """Wait for its end: the exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def wait_for(self, text: str) -> None:
        """Wait until it has printed something."""
        until = time.monotonic() + PATIENCE_SECONDS
        while text not in self.out.read_text():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < until, self.out.read_text()
            time.sleep(0.05)

    def get(self, path: str) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def pid_of(self, name: str) -> int:
        """The pid in a pid file."""
        return int(json.loads((self.var / "run" / f"{name}.pid").read_text())["pid"])


@pytest.fixture
def launch(tmp_path: Path, clean_env: dict[str, str]) -> Iterator[Callable[..., Launcher]]:
    """Start a launcher; what still runs at the end of the test is ended."""
    started: list[Launcher] = []

    def start(command: str, name: str = "var", **choices: str) -> Launcher:
        started.append(Launcher(tmp_path / name, clean_env, command, **choices))
        return started[-1]

    yield start
    for launcher in started:
        if launcher.process.poll() is None:
            launcher.process.send_signal(signal.SIGTERM)
            launcher.end()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def processes_of(run_id: str, var: Path) -> list[str]:
    """What /proc shows of a hub: by run id, by its folder on the command line or as where they are."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            inside = (folder / "cwd").readlink().is_relative_to(var)
        except OSError:
            continue
        named = f"HUB_RUN_ID={run_id}".encode() in environ or f"{var}/".encode() in command
        if (named or inside) and folder.name != str(os.getpid()):
            found.append(f"{folder.name} {command.decode(errors='replace')}")
    return found


def wait_until_gone(run_id: str, var: Path, seconds: float) -> list[str]:
    """What is left of a hub after some time; an empty list as soon as nothing is."""
    until = time.monotonic() + seconds
    while (left := processes_of(run_id, var)) and time.monotonic() < until:
        time.sleep(0.05)
    return left
