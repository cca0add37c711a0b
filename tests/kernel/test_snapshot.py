"""Reads that belong together see one moment, whoever writes in between."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from megahub.kernel.snapshot import snapshot

COUNT = "SELECT count(*) FROM hub_seen"


def counted() -> int:
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        return int(cursor.fetchone()[0])


def write() -> None:
    """From another connection."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO hub_seen VALUES (1)")
    connection.close()


@pytest.fixture
def seen(database: None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS hub_seen (id bigint)")
        cursor.execute("DELETE FROM hub_seen")


def test_it_works(seen: None) -> None:
    with snapshot():
        before = counted()
        writing = threading.Thread(target=write)
        writing.start()
        writing.join(5)
        assert not writing.is_alive()  # reading holds nobody up
        within = counted()

    assert (before, within, counted()) == (0, 0, 1)


def test_after_an_exception(seen: None) -> None:
    with pytest.raises(KeyError), snapshot():
        counted()
        raise KeyError

    write()
    assert counted() == 1
