"""A RabbitMQ of one's own, from Debian's package ``rabbitmq-server``: as a broker to try and to test with.

Everything of it (names of nodes, ports, files, the cookie, the port mapper) is its folder's own, and
nothing of it outlives its two processes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools import services
from tools.processes import Program, environment_without_keys

HOST = "127.0.0.1"
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
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    names = Program("epmd", [mapper, "-port", str(mapped), "-address", HOST], env)
    return [names, Program("rabbitmq", [server], env)], f"amqp://guest:guest@{HOST}:{port}//"
