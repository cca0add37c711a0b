"""Whose rows the code that runs now may see: the second net below the scoped managers.

PostgreSQL's policies (megahub/tenancy/protection.py) show and take the rows of the companies in its
setting ``app.company`` only. What stands there is said here, per context: a request sees nobody's rows
until it is known who calls, and then that company's, as does a job; threads and tasks that they start
inherit it. The hub's own threads, beat's chores and commands see everybody's. SQLite has no such net.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NOBODY = ""
EVERYBODY = "*"

_scope: ContextVar[str] = ContextVar("hub_scope", default=EVERYBODY)


def current() -> str:
    """As PostgreSQL is told: "" for nobody's, a company's number, or "*" for everybody's."""
    return _scope.get()


def enter(company_id: int) -> None:
    """From here on in this context: the rows of one company (a request, once it is known who calls)."""
    _scope.set(str(company_id))


def enter_nobody() -> None:
    """From here on in this context: no company's rows (a request, before it is known who calls)."""
    _scope.set(NOBODY)


def enter_everybody() -> None:
    """From here on in this context: all rows (the admin's staff)."""
    _scope.set(EVERYBODY)


@contextmanager
def of(company_id: int) -> Iterator[None]:
    """The rows of one company, in this block."""
    with _within(str(company_id)):
        yield


@contextmanager
def everybody() -> Iterator[None]:
    """All rows, in this block: for the hub's own work, and to learn who calls."""
    with _within(EVERYBODY):
        yield


@contextmanager
def kept() -> Iterator[None]:
    """Whatever the block enters is left again at its end."""
    with _within(current()):
        yield


@contextmanager
def _within(scope: str) -> Iterator[None]:
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


def union(scopes: Iterable[str]) -> str:
    """The scope of work that is written together."""
    found = set(scopes)
    if EVERYBODY in found:
        return EVERYBODY
    return ",".join(sorted(found - {NOBODY}))
