"""Who ended a stream: its client, who hung up, or the server, whose grace was over."""

from __future__ import annotations

from contextvars import ContextVar


class Connection:
    """A stream's connection; ``hung_up`` once its client was seen to go."""

    def __init__(self) -> None:
        self.hung_up = False


_current: ContextVar[Connection | None] = ContextVar("hub_connection", default=None)


def opened() -> Connection:
    """The connection of the request that this task (and those it starts) answers."""
    connection = Connection()
    _current.set(connection)
    return connection


def hung_up(*, otherwise: bool) -> bool:
    """Whether the client of this code's stream has gone; ``otherwise`` where there is no such stream."""
    connection = _current.get()
    return otherwise if connection is None else connection.hung_up


def let_go() -> None:
    """The reader of this code's stream may read no more: to its job it is as though they had gone."""
    connection = _current.get()
    if connection is not None:
        connection.hung_up = True
