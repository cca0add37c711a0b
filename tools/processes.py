"""Processes that die with the launcher, and are recorded so that the next one could end them.

A pid alone proves nothing: each pid file also holds the moment the process began.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.report import ROOT, say

PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.05
KILLED_WITHIN_SECONDS = 5.0
MAX_LOG_BYTES = 10 * 1024 * 1024
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """How to run something: ``ends`` are the signals that end it, and the patience with each (s).

    ``stage`` is its turn when all end (0 first). ``on_death`` is what the kernel sends it when the
    launcher is killed (Linux); ``account`` the uid and gid to run it as, None for our own.
    """

    name: str
    command: list[str]
    env: dict[str, str]
    stage: int = 0
    ends: tuple[tuple[int, float], ...] = ((signal.SIGTERM, 35.0),)
    on_death: int = signal.SIGKILL
    account: tuple[int, int] | None = None


def environment_without_keys() -> dict[str, str]:
    """Ours for servers: no keys, nothing that PostgreSQL's programs would read, the C locale."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_")) and not name.endswith("_KEY")
    }
    return kept | {"LC_ALL": "C"}


@dataclass(frozen=True)
class Running:
    """A process as its pid file describes it."""

    name: str
    pid: int
    identity: str
    stage: int
    ends: tuple[tuple[int, float], ...]

    def is_alive(self) -> bool:
        return identity(self.pid) == self.identity

    def signal(self, number: int) -> None:
        """Send a signal, unless the pid is another process's by now."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and what is left of its process group."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                kill = os.killpg if os.getpgid(self.pid) == self.pid else os.kill
                kill(self.pid, signal.SIGKILL)


def identity(pid: int) -> str | None:
    """What tells a process from a later one with its pid; None when it is gone or a zombie."""
    if sys.platform != "linux":
        return _identity_from_ps(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _identity_from_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    state, _, began = told.partition(" ")
    return None if not began or state.startswith("Z") else began.strip()


def die_with_parent(number: int) -> Callable[[], None]:
    """A ``preexec_fn``: the kernel sends ``number`` when we die (Linux)."""
    parent = os.getpid()

    def before_exec() -> None:
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, number)
            if os.getppid() != parent:  # it died in between
                os._exit(1)

    return before_exec


def start(program: Program, log: Path, pids: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own (a Ctrl-C is the launcher's to pass on)."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    account = program.account
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as out:
        process = subprocess.Popen(
            program.command,
            cwd=ROOT if account is None else "/",
            env=program.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(program.on_death),
            user=account and account[0],
            group=account and account[1],
            extra_groups=None if account is None else [],
        )
    record(program.name, process.pid, program.stage, program.ends, pids)
    return process


def record(name: str, pid: int, stage: int, ends: tuple[tuple[int, float], ...], pids: Path) -> None:
    """Write the pid file of a process."""
    running = Running(name, pid, identity(pid) or "", stage, ends)
    (pids / f"{name}.pid").write_text(json.dumps(vars(running)))


def forget(name: str, pids: Path) -> None:
    """Remove the pid file of a process."""
    (pids / f"{name}.pid").unlink(missing_ok=True)


def recorded(pids: Path) -> list[Running]:
    """The processes that the pid files of a folder describe, alive or not."""
    found = []
    for file in sorted(pids.glob("*.pid")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(file.read_text())
            ends = tuple((int(number), float(seconds)) for number, seconds in data["ends"])
            found.append(Running(file.stem, data["pid"], data["identity"], data["stage"], ends))
    return found


def end_recorded(pids: Path) -> bool:
    """End what the pid files describe, and remove them; whether anything was alive."""
    found = recorded(pids)
    alive = [process for process in found if process.is_alive()]
    if alive:
        say("Ending " + ", ".join(f"{p.name} (pid {p.pid})" for p in alive) + ".")
    end(found, pids)
    return bool(alive)


def end(processes: Iterable[Running], pids: Path, is_urgent: Callable[[], bool] = lambda: False) -> None:
    """End processes stage by stage, gently until their patience is over or it ``is_urgent``."""
    found = list(processes)
    for stage in sorted({process.stage for process in found}):
        wave = [process for process in found if process.stage == stage]
        for turn in range(max(len(process.ends) for process in wave)):
            _end_gently([p for p in wave if len(p.ends) > turn], turn, is_urgent)
        for process in wave:
            process.kill()
        _wait(wave, KILLED_WITHIN_SECONDS, lambda: False)
        for process in wave:
            forget(process.name, pids)


def _end_gently(wave: list[Running], turn: int, is_urgent: Callable[[], bool]) -> None:
    for process in wave:
        process.signal(process.ends[turn][0])
    _wait(wave, max(process.ends[turn][1] for process in wave), is_urgent)


def _wait(wave: list[Running], seconds: float, is_urgent: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not is_urgent():
        if not any(process.is_alive() for process in wave):
            return
        time.sleep(LOOK_SECONDS)
