"""Giving the database what ``protection`` works out: compared by name, made and dropped as needed."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from megahub.tenancy import protection
from megahub.tenancy.protection import Guard

ON_POSTGRES = """
SELECT conname, conrelid::regclass::text, 'constraint' FROM pg_constraint WHERE contype = 'f'
UNION SELECT tgname, tgrelid::regclass::text, 'trigger' FROM pg_trigger WHERE NOT tgisinternal
UNION SELECT indexname, tablename, 'index' FROM pg_indexes WHERE schemaname = current_schema()
UNION SELECT policyname, tablename, 'policy' FROM pg_policies WHERE schemaname = current_schema()
"""
ON_SQLITE = "SELECT name, tbl_name, type FROM sqlite_master WHERE type = 'trigger'"
DROP = {
    "constraint": ("ALTER TABLE {table} DROP CONSTRAINT {name}",),
    "trigger": ("DROP TRIGGER {name} ON {table}", "DROP FUNCTION {name}()"),
    "index": ("DROP INDEX {name}",),
    "policy": (
        "DROP POLICY {name} ON {table}",
        "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    ),
}
#: In this order, and dropped in the other one: a key needs its index.
ORDER = {"index": 0, "constraint": 1, "trigger": 2, "policy": 3}
#: Views read with the rights of whoever reads them: their maker's would see nothing, or everything.
OPEN_VIEWS = """
SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace
AND NOT coalesce(reloptions, '{}') @> ARRAY['security_invoker=true']
"""
ROLE = "hub_app"
GRANTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    # What has been migrated is for the owner to say.
    "REVOKE INSERT, UPDATE, DELETE ON {schema}.django_migrations FROM {role}",
)
ADD_ONLY = "REVOKE UPDATE, DELETE ON {schema}.{table} FROM {role}"


def found(connection: BaseDatabaseWrapper) -> dict[str, tuple[str, str]]:
    """The guards that the database has: {name: (table, kind)}."""
    with connection.cursor() as cursor:
        cursor.execute(ON_POSTGRES if connection.vendor == "postgresql" else ON_SQLITE)
        rows = cursor.fetchall()
    return {
        name: (str(table), str(kind)) for name, table, kind in rows if name.startswith(protection.PREFIXES)
    }


def missing(connection: BaseDatabaseWrapper) -> list[Guard]:
    """What the models ask for and the database does not have."""
    there = found(connection)
    return [guard for guard in protection.guards(connection.vendor) if guard.name not in there]


def withdraw(using: str = "default", **_: Any) -> None:
    """SQLite, before a migration: it may make a table anew, and no trigger may name it then."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for name in found(connection):
                cursor.execute(f"DROP TRIGGER {name}")


def apply(using: str = "default", **_: Any) -> None:
    """After a migration up to today's models: make what is missing, drop what nothing asks for any more."""
    connection = connections[using]
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    wanted = {guard.name for guard in protection.guards(connection.vendor)}
    with transaction.atomic(using), connection.cursor() as cursor:
        for name, (table, kind) in sorted(found(connection).items(), key=lambda it: -ORDER[it[1][1]]):
            if name not in wanted:
                _drop(cursor, name, table, kind)
        for guard in sorted(missing(connection), key=lambda each: ORDER[each.kind]):
            for statement in guard.create:
                cursor.execute(statement)
        if connection.vendor == "postgresql":
            _open_views(cursor)
            _grant(cursor)


def _drop(cursor: Any, name: str, table: str, kind: str) -> None:
    statements = DROP[kind] if cursor.db.vendor == "postgresql" else ("DROP TRIGGER {name}",)
    for statement in statements:
        cursor.execute(statement.format(name=name, table=table))


def _open_views(cursor: Any) -> None:
    cursor.execute(OPEN_VIEWS)
    for (view,) in cursor.fetchall():
        cursor.execute(f"ALTER VIEW {view} SET (security_invoker = true)")


def _grant(cursor: Any) -> None:
    """The role that the hub's processes sign in as owns nothing: it reads and writes rows.

    What is written once (the ledger, the audit trail) it may add to, and not change.
    """
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolname <> current_user", [ROLE])
    if cursor.fetchone():
        cursor.execute("SELECT current_schema()")
        (schema,) = cursor.fetchone()
        once = [each._meta.db_table for each in apps.get_models() if getattr(each, "append_only", False)]
        for statement in GRANTS:
            cursor.execute(statement.format(schema=schema, role=ROLE))
        for table in once:
            cursor.execute(ADD_ONLY.format(schema=schema, table=table, role=ROLE))
