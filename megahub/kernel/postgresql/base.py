"""Django's database backend for PostgreSQL with ``app.company`` kept at what ``scope`` says.

One more trip whenever a connection is used for another scope than before: once per request. In a
transaction the setting is the transaction's own; outside of one it is the session's, and looked at
again before each statement, so a connection that comes out of the pool brings nothing along.
SET and not set_config(): a query would come before SET TRANSACTION. A scope is digits, commas or "*".
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from megahub.kernel import scope


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that knows what it told PostgreSQL."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The open transaction's own scope; None when it has none.
        self._own_scope: str | None = None

    def create_cursor(self, name: str | None = None) -> Any:
        self._keep_scope()
        return super().create_cursor(name)

    def _keep_scope(self) -> None:
        """Tell PostgreSQL the scope of this context, unless it knows."""
        wanted, raw = scope.current(), self.connection
        if not raw.autocommit:
            if self._own_scope != wanted:
                raw.execute(f"SET LOCAL app.company = '{wanted}'")
                self._own_scope = wanted
        elif getattr(raw, "hub_scope", scope.NOBODY) != wanted:
            raw.execute(f"SET app.company = '{wanted}'")
            raw.hub_scope = wanted

    def _commit(self) -> Any:
        self._own_scope = None
        return super()._commit()  # type: ignore[misc]

    def _rollback(self) -> Any:
        self._own_scope = None
        return super()._rollback()  # type: ignore[misc]

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]
        self._own_scope = None

    def _close(self) -> Any:
        self._own_scope = None
        return super()._close()  # type: ignore[misc]
