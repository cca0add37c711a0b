"""Where a hub keeps its things: everything under ``HUB_VAR``, readable by its owner alone."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.report import ROOT, Fault

#: The longest name of a socket in the folder, and what a socket's path may measure (macOS: 104
#: bytes with the closing zero; Linux: 108).
LONGEST_SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH_BYTES = 103


@dataclass(frozen=True)
class Places:
    """The folders of one hub; ``sockets`` is elsewhere when ``var`` has a long path."""

    var: Path
    sockets: Path

    @property
    def logs(self) -> Path:
        return self.var / "logs"

    @property
    def pids(self) -> Path:
        return self.var / "run"

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name}.log"


def var_folder() -> Path:
    """``HUB_VAR``, by default ``var`` in the checkout."""
    return Path(os.environ.get("HUB_VAR") or ROOT / "var").resolve()


def make(var: Path) -> Places:
    """The folders, made when they are absent. Raises Fault when they cannot be."""
    try:
        for folder in (var, var / "logs", var / "run"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        var.chmod(0o700)
        sockets = socket_folder(var, (os.environ.get("XDG_RUNTIME_DIR"), "/tmp"))
        if not sockets.is_relative_to(var):
            make_private(sockets, os.geteuid())
    except OSError as error:
        raise Fault(f"HUB_VAR={var} cannot be written: {error.strerror}.") from error
    return Places(var, sockets)


def socket_folder(var: Path, parents: Iterable[str | None]) -> Path:
    """``var/run``, or a folder below the first of ``parents`` that keeps socket paths short.

    PostgreSQL and its clients take a comma for the end of a path.
    """
    name = f"megahub-{os.geteuid()}-{digest(var)}"
    shorter = [Path(parent) / name for parent in parents if parent and os.access(parent, os.W_OK)]
    for folder in (var / "run", *shorter):
        fits = len(os.fsencode(folder / LONGEST_SOCKET)) <= MAX_SOCKET_PATH_BYTES
        if fits and "," not in str(folder):
            return folder
    raise Fault(f"HUB_VAR={var} is too long a path for sockets, and /tmp cannot be written.")


def forget_sockets(places: Places) -> None:
    """Remove the folder of the sockets, if it was made for them alone."""
    if not places.sockets.is_relative_to(places.var):
        with suppress(OSError):
            places.sockets.rmdir()


def digest(path: Path) -> str:
    """A short name for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def make_private(folder: Path, owner: int) -> None:
    """A folder of ``owner`` alone where everybody may write. Raises Fault if it is not."""
    try:
        folder.mkdir(mode=0o700)
        os.chown(folder, owner, -1)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise Fault(f"{folder} is not a private folder of ours: remove it.") from None


def lock(places: Places) -> IO[str]:
    """Hold ``HUB_VAR`` for this process. Raises Fault when another launcher holds it."""
    try:
        handle = (places.var / "lock").open("a")
    except OSError as error:
        raise Fault(f"HUB_VAR={places.var} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise Fault(
            f"A hub runs with HUB_VAR={places.var} already: end it with ./hub down,"
            " or choose another HUB_VAR and HUB_PORT."
        ) from error
    return handle
