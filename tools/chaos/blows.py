"""Doing to a hub what the plan says, while what has died is started again."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import redis

from tools.chaos.plan import Blow, Weather
from tools.processes import Running, identity
from tools.report import say
from tools.supervisor import Child, Supervisor

LOOK_SECONDS = 0.05
AGAIN_AFTER_SECONDS = 0.3
#: PostgreSQL's immediate shutdown: it recovers at its next start, as after a crash.
SERVERS = {"database": ("postgres", signal.SIGQUIT), "broker": ("redis", signal.SIGKILL)}


class Tireless(Supervisor):
    """A supervisor that starts again whatever dies, however often, and soon."""

    def _mourn(self, child: Child, now: float, how: str) -> None:
        child.due = now + AGAIN_AFTER_SECONDS


@dataclass
class Hand:
    """``change_weather`` tells a server's proxy; ``broker_url`` leads to the broker without its proxy.

    ``done`` counts what was really done: a process that is being started again cannot be killed.
    """

    supervisor: Supervisor
    change_weather: Callable[[str, Weather | None], None]
    broker_url: str
    done: Counter[str] = field(default_factory=Counter)
    _stopped: dict[str, list[Running]] = field(default_factory=dict)

    def strike(self, blows: list[Blow], is_over: Callable[[], bool]) -> None:
        """All blows at their times, and on until ``is_over``; then everything is put right."""
        began, left = time.monotonic(), list(blows)
        while left or not is_over():
            while left and time.monotonic() - began >= left[0].at:
                self._strike(left.pop(0))
            self.supervisor.mend()
            time.sleep(LOOK_SECONDS)
        self._put_right()

    def watch_until(self, is_over: Callable[[], bool], seconds: float) -> bool:
        """Only start again what dies; whether it was over in time."""
        until = time.monotonic() + seconds
        while not (over := is_over()) and time.monotonic() < until:
            self.supervisor.mend()
            time.sleep(0.5)
        return over

    def _strike(self, blow: Blow) -> None:
        if blow.kind in ("misbehave", "behave"):
            self.change_weather(blow.target, blow.weather)
            self._count(blow.kind == "misbehave", f"{blow.weather} before {blow.target}")
        elif blow.kind == "flush":
            with suppress(redis.RedisError), redis.Redis.from_url(self.broker_url) as client:
                client.flushall()
                self._count(True, "flush broker")
        elif blow.kind == "go on":
            self._go_on(blow.target)
        else:
            self._signal(blow)

    def _signal(self, blow: Blow) -> None:
        name, number = SERVERS.get(blow.target, (blow.target, signal.SIGKILL))
        child = next((c for c in self.supervisor.children if c.program.name == name), None)
        if child is None or child.due is not None or child.process.poll() is not None:
            return
        pid = child.process.pid
        if blow.kind == "stop":
            stopped = Running(name, pid, identity(pid) or "", 0, ())
            self._stopped.setdefault(name, []).append(stopped)
            os.kill(pid, signal.SIGSTOP)
        else:
            os.kill(pid, number)
        self._count(True, f"{blow.kind} {blow.target}")

    def _go_on(self, name: str) -> None:
        for process in self._stopped.pop(name, []):
            process.signal(signal.SIGCONT)

    def _put_right(self) -> None:
        for name in list(self._stopped):
            self._go_on(name)
        for server in ("broker", "database", "provider"):
            self.change_weather(server, None)
        say("Everything is put right; what was begun may end.")

    def _count(self, is_one: bool, what: str) -> None:
        if is_one:
            self.done[what] += 1
