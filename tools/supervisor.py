"""The launcher's children: begun, watched, begun again when they die, ended in order."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tools import processes
from tools.places import Places
from tools.processes import Program
from tools.report import Fault, reason, say, tail

DEATHS = 5
WITHIN_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.5
LOOK_SECONDS = 0.03


@dataclass
class Child:
    """A program that should be running; ``due`` is when to start it again, None while it runs."""

    program: Program
    process: subprocess.Popen[bytes]
    deaths: list[float] = field(default_factory=list)
    due: float | None = None


class Supervisor:
    """All children of this launcher."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.children: list[Child] = []

    def start(self, program: Program) -> None:
        """Start a program and watch it from now on."""
        self.children.append(Child(program, self._begin(program)))

    def _begin(self, program: Program) -> subprocess.Popen[bytes]:
        try:
            return processes.start(program, self.places.log(program.name), self.places.pids)
        except (OSError, subprocess.SubprocessError) as error:
            raise Fault(f"{program.name} cannot be started: {error}.") from error

    def check(self) -> None:
        """Raise Fault when a child has died: nothing is repaired while the hub is starting."""
        for child in self.children:
            if (code := child.process.poll()) is not None:
                raise Fault(self._last_words(child, _how(code)))

    def wait_for(
        self, ask: Callable[[], object], errors: tuple[type[Exception], ...], name: str, seconds: float
    ) -> None:
        """Ask a server until it answers, once at least. Raises Fault when it does not, or a child dies."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            try:
                ask()
                return
            except errors as error:
                if time.monotonic() >= until:
                    raise Fault(f"{name} does not answer: {reason(error)}.") from error
            time.sleep(LOOK_SECONDS)  # a server that begins tells nobody: it is asked again

    def mend(self) -> None:
        """Start again what has died. Raises Fault when a child keeps dying."""
        now = time.monotonic()
        for child in self.children:
            if child.due is not None:
                if now >= child.due:
                    child.process = self._begin(child.program)
                    child.due = None
            elif (code := child.process.poll()) is not None:
                self._mourn(child, now, _how(code))

    def _mourn(self, child: Child, now: float, how: str) -> None:
        child.deaths = [death for death in child.deaths if now - death < WITHIN_SECONDS] + [now]
        if len(child.deaths) >= DEATHS:
            raise Fault(self._last_words(child, f"{how}, {DEATHS} times within a minute"))
        pause = FIRST_PAUSE_SECONDS * 2 ** (len(child.deaths) - 1)
        child.due = now + pause
        say(f"{child.program.name} {how}: starting it again in {pause:g} s.")

    def _last_words(self, child: Child, how: str) -> str:
        log = self.places.log(child.program.name)
        return f"{child.program.name} {how}. Its log, {log}, ends with\n{tail(log)}"

    def end(self, is_urgent: Callable[[], bool]) -> None:
        """End all children, those that need others first; the pid files know every one of them."""
        found = processes.recorded(self.places.pids)
        ours = [process for process in found if process.pid != os.getpid()]
        processes.end(ours, self.places.pids, is_urgent)
        for child in self.children:
            child.process.poll()


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
