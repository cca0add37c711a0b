"""The folder in which files are kept unless another is named: gone when its process is, however it ends."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "sandbox-files-"
LOCK = ".lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder of this process, removed in the end; so is what killed processes left behind."""
    remove_left_behind()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        # It has its name only once it is locked: nobody finds it unlocked while we live.
        half = folder / f"{LOCK}.new"
        with half.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            half.rename(folder / LOCK)
            yield folder


def remove_left_behind() -> None:
    """Remove our folders that no process holds any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = folder.lstat() if folder.exists() else None
        if found is None or not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            continue
        with suppress(OSError), (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
