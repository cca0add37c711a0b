"""The spool: records outlive their process, are read by nobody else, and end with what they tell of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from megahub.kernel import spool
from megahub.kernel.spool import Spool
from megahub.kernel.vault import Sealed

OWNER = {"session": 7}
CHILD = """
import os, signal, sys
import django
django.setup()
from pathlib import Path
from megahub.kernel.spool import Spool
own = Spool(Path(sys.argv[1]), {"session": 7})
own.done(own.put(b"settled"))
own.put(b"not settled")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def own(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", OWNER)


def only(folder: Path) -> Path:
    (path,) = spool.found(folder)
    return path


def test_it_outlives_a_killed_process(tmp_path: Path) -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "megahub.settings.test"}
    killed = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL

    with spool.leftover(only(tmp_path)) as left:
        assert (left.owner["session"], left.is_dead) == (7, True)
        assert left.records == [b"settled", b"not settled"]
        left.remove()

    assert spool.found(tmp_path) == []


def test_nobody_reads_it_without_the_key(own: Spool) -> None:
    own.put(b"a secret answer")

    path = only(own.folder)
    assert b"secret" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    moved = path.with_name(f"other{spool.SUFFIX}")
    path.rename(moved)
    with pytest.raises(Sealed), spool.leftover(moved):
        pass


def test_a_living_owner_keeps_its_lock(own: Spool) -> None:
    own.put(b"mine")

    with spool.leftover(only(own.folder)) as left:
        assert (left.is_dead, left.records) == (False, [b"mine"])


def test_a_torn_record_ends_the_file(own: Spool) -> None:
    own.put(b"whole")
    path = only(own.folder)
    size = path.stat().st_size
    own.put(b"torn")
    os.truncate(path, path.stat().st_size - 1)

    with spool.leftover(path) as left:
        assert left.records == [b"whole"]

    os.truncate(path, size - 1)
    with spool.leftover(path) as left:
        assert left.records == []


def test_what_is_settled_is_truncated(own: Spool) -> None:
    path = only(own.folder)
    empty = path.stat().st_size
    marks = [own.put(b"x" * 40_000) for _ in range(2)]

    own.done(marks[0])
    assert path.stat().st_size > 80_000
    own.done(marks[1])

    assert path.stat().st_size == empty
    own.put(b"again")
    with spool.leftover(path) as left:
        assert left.records == [b"again"]


def test_a_file_that_is_never_idle_is_followed_by_another(
    own: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "ROTATE_BYTES", 1000)
    first = own.put(b"x" * 1000)
    second = own.put(b"y")
    assert len(spool.found(own.folder)) == 2

    own.done(first)

    with spool.leftover(only(own.folder)) as left:
        assert left.records == [b"y"]
    own.done(second)


def test_an_orderly_end_leaves_only_what_is_needed(own: Spool) -> None:
    mark = own.put(b"needed")
    own.close()
    with spool.leftover(only(own.folder)) as left:
        assert (left.is_dead, left.records) == (True, [b"needed"])

    other = Spool(own.folder / "other", OWNER)
    other.done(other.put(b"settled"))
    other.close()
    assert spool.found(other.folder) == []
    assert mark.needed == 1


def test_what_is_still_needed_can_be_put_on_the_disk_itself(
    own: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    mark = own.put(b"an answer")
    own.sync(mark)
    assert synced == [only(own.folder).stat().st_ino]
    own.done(mark)
    own.sync(mark)
    assert len(synced) == 1
