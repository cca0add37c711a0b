"""The hub's own processes: the sandbox provider, web, worker and beat."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from tools.processes import Program, environment_without_keys
from tools.report import Fault

PROVIDER_KEYS = ("OPENAI_API_KEY", "INFOMANIAK_API_KEY")
#: What workers listen to (megahub/kernel/queue.py).
QUEUES = ("system", "urgent", "high", "normal", "low")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def module(*arguments: str) -> list[str]:
    """A command that runs a module with our Python."""
    return [sys.executable, "-m", *arguments]


def sandbox(port: int) -> Program:
    """The provider to play with; it keeps nothing."""
    return Program(
        name="sandbox",
        command=module("sandbox", "--port", str(port)),
        env=environment_without_keys(),
        stage=1,
        ends=((signal.SIGTERM, 5.0),),
        on_death=signal.SIGTERM,
    )


# The kernel kills these three when the launcher is killed: their database goes at the same moment,
# and a gentle end would have nowhere to write to. The next start takes their jobs back.


def web(host: str, port: int, env: dict[str, str]) -> Program:
    """The one web process."""
    patience = ("--timeout-graceful-shutdown", "30")
    where = ("--host", host, "--port", str(port))
    how = "--lifespan on --no-access-log --loop uvloop --http httptools"
    return Program(
        "web", module("uvicorn", "megahub.asgi:application", *where, *how.split(), *patience), env
    )


def worker(env: dict[str, str]) -> Program:
    """The one worker process; a slot that waits for a provider costs no thread."""
    how = f"-P threads -c 4 -Q {','.join(QUEUES)} --without-gossip --without-mingle"
    arguments = ("celery", "-A", "megahub", "worker", *how.split(), "-l", "WARNING")
    return Program("worker", module(*arguments), env)


def beat(env: dict[str, str], schedule: Path) -> Program:
    """What rings for the chores, by the clock: it has no business in the database, and no way to it."""
    arguments = ("celery", "-A", "megahub", "beat", "-s", str(schedule), "-l", "WARNING")
    return Program("beat", module(*arguments), {**env, "DATABASE_URL": ""}, ends=((signal.SIGTERM, 5.0),))


def has_provider_key() -> bool:
    """Whether the environment holds a key that costs money."""
    return any(os.environ.get(name) for name in PROVIDER_KEYS)


def chosen_port() -> int | None:
    """``HUB_PORT``, None when it is not set. Raises Fault when it is no port."""
    raw = os.environ.get("HUB_PORT", "")
    if raw and not (raw.isascii() and raw.isdigit() and 0 < int(raw) < 65536):
        raise Fault(f"HUB_PORT must be a number from 1 to 65535, not {raw!r}.")
    return int(raw) if raw else None


def free_port(host: str) -> int:
    """A port that nobody listens on now. Raises Fault."""
    with bound(host, 0) as listener:
        return int(listener.getsockname()[1])


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to an address as a server would bind it. Raises Fault with the reason."""
    with ExitStack() as opened:
        try:
            family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = opened.enter_context(socket.socket(family, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise Fault(
                f"Port {port} on {host} cannot be had ({error.strerror}): choose another with"
                " HUB_PORT (and HUB_HOST)."
            ) from error
        opened.pop_all()
        return listener


def address(host: str, port: int) -> str:
    """``host:port`` to reach a server that listens on ``host``."""
    host = EVERYWHERE.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
