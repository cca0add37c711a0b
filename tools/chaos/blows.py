"""Doing to a hub what the plan says, while what has died is started again."""

from __future__ import annotations

import math
import os
import signal
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import redis

from tools import rabbit, services
from tools.chaos.plan import Blow, Weather
from tools.places import Places
from tools.processes import Running, identity
from tools.report import say
from tools.supervisor import Child, Supervisor

LOOK_SECONDS = 0.05
AGAIN_AFTER_SECONDS = 0.3
#: A blow that found nothing to hit (its process is being started again) is struck again so much later.
NEXT_TRY_SECONDS = 0.5
#: PostgreSQL's immediate shutdown: it recovers at its next start, as after a crash.
IMMEDIATE = signal.SIGQUIT
#: How a broker that is away tells so.
AWAY: tuple[type[Exception], ...] = (redis.RedisError, *rabbit.ERRORS)


class Tireless(Supervisor):
    """A supervisor that starts again whatever dies, however often, and soon; ``held`` stays away."""

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self.held: set[str] = set()

    def _mourn(self, child: Child, now: float, how: str) -> None:
        child.due = math.inf if child.program.name in self.held else now + AGAIN_AFTER_SECONDS

    def child(self, name: str) -> Child:
        """The child of that name."""
        return next(child for child in self.children if child.program.name == name)

    def hold(self, name: str) -> None:
        """Kill it, and do not start it again."""
        self.held.add(name)
        self.child(name).process.kill()

    def let_go(self, name: str) -> None:
        """Start it again."""
        self.held.discard(name)
        self.child(name).due = 0.0


@dataclass
class Hand:
    """``change_weather`` tells a server's proxy; ``broker_url`` leads to the broker without its proxy.

    ``done`` counts what was really done: a blow that finds its process being started again waits for it.
    """

    supervisor: Tireless
    change_weather: Callable[[str, Weather | None], None]
    broker_url: str
    done: Counter[str] = field(default_factory=Counter)
    _stopped: dict[str, list[Running]] = field(default_factory=dict)

    def strike(self, blows: list[Blow], is_over: Callable[[], bool]) -> None:
        """All blows at their times, and on until ``is_over``; then everything is put right."""
        began, left = time.monotonic(), sorted(blows)
        while left or not is_over():
            while left and time.monotonic() - began >= left[0].at:
                blow = left.pop(0)
                if not self._strike(blow):
                    insort(left, replace(blow, at=time.monotonic() - began + NEXT_TRY_SECONDS))
            self.supervisor.mend()
            time.sleep(LOOK_SECONDS)
        self._put_right()

    def _strike(self, blow: Blow) -> bool:
        """False when there was nothing to hit."""
        if blow.kind in ("misbehave", "behave"):
            self.change_weather(blow.target, blow.weather)
            self._count(blow.kind == "misbehave", f"{blow.weather} before {blow.target}")
        elif blow.kind == "flush":
            return self._flush()
        elif blow.kind == "go on":
            self._go_on(blow.target)
        else:
            return self._signal(blow)
        return True

    def _flush(self) -> bool:
        """False while the broker is away."""
        try:
            if self.broker_url.startswith("amqp"):
                rabbit.purge(self.broker_url, services.QUEUES)
            else:
                with redis.Redis.from_url(self.broker_url) as client:
                    client.flushall()
        except AWAY:
            return False
        self._count(True, "flush broker")
        return True

    def _signal(self, blow: Blow) -> bool:
        name, number = self._aim(blow.target)
        child = self.supervisor.child(name)
        if child.due is not None or child.process.poll() is not None:
            return False
        pid = child.process.pid
        if blow.kind == "stop":
            stopped = Running(name, pid, identity(pid) or "", 0, ())
            self._stopped.setdefault(name, []).append(stopped)
            os.kill(pid, signal.SIGSTOP)
        else:
            os.kill(pid, number)
        self._count(True, f"{blow.kind} {blow.target}")
        return True

    def _aim(self, target: str) -> tuple[str, int]:
        """A child's name, and the signal that ends it at once."""
        if target == "database":
            return "postgres", IMMEDIATE
        broker = "rabbitmq" if self.broker_url.startswith("amqp") else "redis"
        return broker if target == "broker" else target, signal.SIGKILL

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
