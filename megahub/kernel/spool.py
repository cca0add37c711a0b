"""What a process must not forget if it is killed: encrypted records in a file that it alone holds.

``put`` appends a record at once (length, CRC, ciphertext) and ``done`` says that it is not needed any
more; a file of which nothing is needed is truncated, or removed once a newer one has taken its place.
The owner holds a lock on its file for as long as it lives, and the kernel lets go of it when the process
dies, however it dies: whoever gets the lock knows that the owner is gone. A record outlives its process;
the machine's power only once ``sync`` was asked for.
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import secrets
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from megahub.kernel import vault

log = logging.getLogger(__name__)

FRAME = struct.Struct("<II")
SUFFIX = ".spool"
#: A file of which nothing is needed any more is emptied once it is this large.
TRUNCATE_BYTES = 64 * 1024
#: A file of which something is always needed is followed by another one.
ROTATE_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Segment:
    """One file: how long it is, where its records begin, and how many of them are still needed."""

    path: Path
    file: int
    key: bytes
    begins: int
    size: int
    needed: int = 0

    def append(self, content: bytes) -> None:
        sealed = vault.seal_bytes(self.key, content, f"spool|{self.path.name}|{self.size}")
        frame = FRAME.pack(len(sealed), zlib.crc32(sealed)) + sealed
        if os.write(self.file, frame) != len(frame):
            # A disk that is full: what was written of it ends the file for whoever reads it.
            os.ftruncate(self.file, self.size)
            raise OSError("a record could not be written whole")
        self.size += len(frame)
        self.needed += 1

    def empty(self) -> None:
        os.ftruncate(self.file, self.begins)
        self.size = self.begins

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.file)


class Spool:
    """The records of one process in ``folder``; ``owner`` is told to whoever reads them after its death."""

    def __init__(self, folder: Path, owner: dict[str, Any]) -> None:
        self.folder = folder
        self.owner = owner
        self._lock = threading.Lock()
        self._current = self._begin()

    def put(self, content: bytes) -> Segment:
        """Append a record; what is answered is for ``done``. Raises OSError."""
        with self._lock:
            if self._current.size > ROTATE_BYTES:
                self._rotate()
            self._current.append(content)
            return self._current

    def done(self, segment: Segment) -> None:
        """One record of that file is needed no longer."""
        with self._lock:
            segment.needed -= 1
            if segment.needed:
                return
            if segment is not self._current:
                segment.remove()
            elif segment.size > TRUNCATE_BYTES:
                segment.empty()

    def sync(self, segment: Segment) -> None:
        """Have the records of that file on the disk itself. Blocking."""
        with self._lock:
            if not segment.needed:
                return
            file = os.dup(segment.file)  # it may be removed meanwhile
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Let go of the file; it stays, for others to read, when something in it is still needed."""
        with self._lock:
            if self._current.needed:
                os.close(self._current.file)
            else:
                self._current.remove()

    def drop(self) -> None:
        """The file goes, whatever it holds. Once."""
        with self._lock:
            self._current.remove()

    def _rotate(self) -> None:
        earlier, self._current = self._current, self._begin()
        if not earlier.needed:
            earlier.remove()

    def _begin(self) -> Segment:
        """A fresh file under a key of its own; it gets its name once it is locked."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
        growing = path.with_suffix(".part")
        file = os.open(growing, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        key = secrets.token_bytes(vault.KEY_BYTES)
        master, wrapped = vault.wrap(key, f"spool|{path.name}")
        told = {**self.owner, "master": master, "key": base64.b64encode(wrapped).decode()}
        head = orjson.dumps(told)
        head = FRAME.pack(len(head), zlib.crc32(head)) + head
        os.write(file, head)
        growing.rename(path)
        return Segment(path, file, key, len(head), len(head))


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file of another process: whose it is, whether that one is dead, and its whole records."""

    path: Path
    owner: dict[str, Any]
    is_dead: bool
    records: list[bytes]

    def remove(self) -> None:
        """Everything in it was seen to."""
        self.path.unlink(missing_ok=True)


@contextmanager
def leftover(path: Path) -> Iterator[Leftover]:
    """Read a file while nobody else does. Raises OSError when it is gone, Sealed when it does not open."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_dead = True
        except OSError:
            is_dead = False
        content = file.read()
        frames = list(_frames(content))
        if not frames:
            raise vault.Sealed("a spool without a head")
        owner = orjson.loads(frames[0][1])
        key = vault.unwrap(owner["master"], base64.b64decode(owner["key"]), f"spool|{path.name}")
        records = [vault.unseal_bytes(key, sealed, f"spool|{path.name}|{at}") for at, sealed in frames[1:]]
        yield Leftover(path, owner, is_dead, records)


def found(folder: Path) -> list[Path]:
    """The files in ``folder``, of whomever."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def _frames(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(where it begins, what it holds) of every whole frame; a torn one ends the file."""
    at = 0
    while at + FRAME.size <= len(content):
        length, crc = FRAME.unpack_from(content, at)
        held = content[at + FRAME.size : at + FRAME.size + length]
        if len(held) != length or zlib.crc32(held) != crc:
            return
        yield at, held
        at += FRAME.size + length
