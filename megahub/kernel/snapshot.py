"""Reads that belong together: all of them see the database at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from megahub.kernel.sql import on_postgres


@contextmanager
def snapshot() -> Iterator[None]:
    """A read-only transaction over one snapshot; for a few reads, never around a call."""
    if on_postgres():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    # Django's own BEGIN on SQLite is IMMEDIATE: it would wait for whoever writes.
    with connection.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
