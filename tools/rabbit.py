"""A RabbitMQ of one's own, from Debian's package ``rabbitmq-server``: as a broker to try and to test with.

Everything of it (names of nodes, ports, files, the cookie, the port mapper) is its folder's own, and
nothing of it outlives its two processes.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import kombu
from amqp import AMQPError
from kombu.exceptions import KombuError

from tools import services
from tools.places import Places
from tools.processes import Program, environment_without_keys
from tools.report import Fault
from tools.supervisor import Supervisor

HOST = "127.0.0.1"
START_SECONDS = 120.0
CONNECT_SECONDS = 5.0
#: What a broker that is away, or that knows no such queue, is told by.
ERRORS: tuple[type[Exception], ...] = (OSError, KombuError, AMQPError)
PLACES = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin")


def find() -> tuple[str, str] | None:
    """The server and Erlang's port mapper; None when they are not installed (or we may not use them)."""
    # Debian's own on the PATH changes its user first; the plain one is beside it.
    server = shutil.which("rabbitmq-server", path=os.pathsep.join(PLACES)) or shutil.which(
        "rabbitmq-server"
    )
    mapper = shutil.which("epmd")
    return (server, mapper) if server and mapper else None


def programs(found: tuple[str, str], folder: Path) -> tuple[list[Program], str]:
    """What to run, in this order, and the broker's URL."""
    server, mapper = found
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "plugins").write_text("[].\n")
    (folder / "rabbit.conf").write_text("disk_free_limit.absolute = 1MB\n")
    mapped, port, between = (services.free_port(HOST) for _ in range(3))
    env = environment_without_keys() | {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapped),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": f"hub{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(between),
        "RABBITMQ_MNESIA_BASE": str(folder / "db"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbit.conf"),
        # One process, without a shell before it: its pid is the node's.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    ends = ((int(signal.SIGTERM), 20.0),)
    names = Program("epmd", [mapper, "-port", str(mapped), "-address", HOST], env, 2, ends)
    node = Program("rabbitmq", [server], env, 1, ends)
    return [names, node], f"amqp://guest:guest@{HOST}:{port}//"


def open_broker(here: Places, supervisor: Supervisor) -> str:
    """One of our own, until it answers; its URL. Raises Fault."""
    found = find()
    if found is None:
        raise Fault("there is no rabbitmq-server here (Debian: the package rabbitmq-server)")
    wanted, url = programs(found, here.var / "rabbit")
    for program in wanted:
        supervisor.start(program)
    wait_for(url, "Our own RabbitMQ", START_SECONDS, supervisor)
    return url


def wait_for(url: str, name: str, seconds: float, supervisor: Supervisor) -> None:
    """Wait until a broker takes connections. Raises Fault when it does not."""

    def ask() -> None:
        with _connection(url) as connection:
            connection.connect()

    supervisor.wait_for(ask, ERRORS, name, seconds)


def purge(url: str, queues: tuple[str, ...]) -> None:
    """All bells are gone. Raises one of ``ERRORS``."""
    with _connection(url) as connection:
        for queue in queues:
            connection.default_channel.queue_purge(queue)


def _connection(url: str) -> kombu.Connection:
    return kombu.Connection(url, connect_timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
