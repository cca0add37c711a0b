"""What the database itself refuses between companies, worked out from the models.

After each ``migrate`` (``apply``) the database is given what the models ask for, and what they no longer
ask for is taken away; a new model joins by existing:

- A *link* from a row of one company to a row of another cannot be stored: a composite foreign key
  ``(company_id, brand_id)`` where there is one to make, a trigger elsewhere (SQLite, references
  without a key, rows that hang on two others). References by number are named in a model's
  ``points_to``.
- A row never changes its company (a trigger).
- With HUB_ROW_SECURITY, PostgreSQL shows and takes only rows of the companies in ``app.company``
  (row-level security under FORCE; megahub/kernel/scope.py says which). A row without a company is seen
  with what it hangs on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import models

#: "" (nobody), company numbers separated by commas, or "*".
SCOPE = "(SELECT current_setting('app.company', true))"
SEES_ALL = f"{SCOPE} = '*'"
SEES = (
    "{column} = ANY ((SELECT string_to_array(nullif(current_setting('app.company', true), '*'), ','))"
    "::bigint[])"
)
PREFIXES = ("hub_link_", "hub_stay_", "hub_own_", "hub_rows_")
#: The key that Django made: a second look-up for each row, and nothing that the composite one allows.
FORGET_PLAIN_KEY = """DO $$ DECLARE old name; BEGIN
    FOR old IN SELECT c.conname FROM pg_constraint c JOIN pg_attribute a
        ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
        WHERE c.conrelid = '{table}'::regclass AND c.contype = 'f' AND a.attname = '{column}'
    LOOP EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', old); END LOOP;
END $$"""

Kind = Literal["constraint", "trigger", "index", "policy"]
Model = type[models.Model]


@dataclass(frozen=True)
class Guard:
    """Something of the database's that keeps companies apart. Its name changes with what it does."""

    name: str
    table: str
    kind: Kind
    create: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """A reference of ``model``'s rows to rows that belong to companies, too."""

    model: Model
    column: str
    target: Model
    target_column: str
    has_key: bool
    #: The ``scope`` of a row under which the column (a text) is a number of such a row; "": always.
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}" + (self.scope and f" of {self.scope}")

    def value(self, row: str) -> str:
        """SQL: the number that the row named ``row`` refers to, or null."""
        column = f"{row}.{self.column}"
        if not self.scope:
            return column
        number = f"length({column}) BETWEEN 1 AND 18 AND trim({column}, '0123456789') = ''"
        return f"CAST(CASE WHEN {row}.scope = '{self.scope}' AND {number} THEN {column} END AS bigint)"

    @property
    def name(self) -> str:
        """Of what guards it."""
        return f"{self.model._meta.db_table}_{self.column}" + (self.scope and f"_{self.scope}")


def is_owned(model: Model) -> bool:
    """Whether the model has a company of its own."""
    try:
        field = model._meta.get_field("company")
    except FieldDoesNotExist:
        return False
    return field.is_relation and _is_company(field.related_model)


def belongs(model: Model) -> bool:
    """Whether the model's rows belong to companies: by themselves, or by what they hang on."""
    return _is_company(model) or is_owned(model) or bool(_parents(model))


def tenants() -> list[Model]:
    """Every table's model whose rows belong to companies, those between two others included."""
    found = apps.get_models(include_auto_created=True)
    return [model for model in found if model._meta.managed and belongs(model)]


def links(model: Model) -> list[Link]:
    """The model's references to rows of companies, but for the one that gives it its company."""
    keys = [_link(model, field) for field in _keys(model) if _leads_to_a_company(field)]
    if not is_owned(model) and not _is_company(model):
        keys = keys[1:]
    return [*keys, *_by_number(model)]


def guards(vendor: str) -> list[Guard]:
    """Everything that the models ask of this kind of database."""
    make = _postgres if vendor == "postgresql" else _sqlite
    found = {guard.name: guard for model in tenants() for guard in make(model)}
    return list(found.values())


def company_of(model: Model, row: str) -> str:
    """SQL: the company of the row that ``row`` names."""
    if _is_company(model):
        return f"{row}.id"
    if is_owned(model):
        return f"{row}.company_id"
    parent = _link(model, _parents(model)[0])
    return _company_behind(parent, row)


def _company_behind(link: Link, row: str) -> str:
    other = f"{row.lower()}_p"
    return (
        f"(SELECT {company_of(link.target, other)} FROM {link.target._meta.db_table} {other}"
        f" WHERE {other}.{link.target_column} = {link.value(row)})"
    )


def _postgres(model: Model) -> Iterator[Guard]:
    table = model._meta.db_table
    for link in links(model):
        if link.has_key and is_owned(model) and is_owned(link.target):
            if ("company", "id") not in _unique(link.target):
                yield _index(link.target)
            yield _composite_key(link)
        else:
            yield _postgres_trigger(link)
    if is_owned(model):
        yield _stays(table)
    if not settings.HUB_ROW_SECURITY:
        return
    sees = _sees(model)
    yield _guard(
        "policy",
        f"hub_rows_{table}",
        table,
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {{name}} ON {table} USING ({sees}) WITH CHECK ({sees})",
    )


def _sees(model: Model) -> str:
    """The policy's condition. A row that hangs on another is seen when that one is."""
    table = model._meta.db_table
    if _is_company(model):
        return f"{SEES_ALL} OR {SEES.format(column='id')}"
    if is_owned(model):
        return f"{SEES_ALL} OR {SEES.format(column='company_id')}"
    parent = _link(model, _parents(model)[0])
    # A scalar query, not EXISTS: the planner would read the whole of the other table for that.
    other = (
        f"(SELECT true FROM {parent.target._meta.db_table} p"
        f" WHERE p.{parent.target_column} = {table}.{parent.column})"
    )
    return f"{SEES_ALL} OR {other}"


def _unique(model: Model) -> list[tuple[str, ...]]:
    found = model._meta.total_unique_constraints
    return [tuple(constraint.fields) for constraint in found]


def _index(model: Model) -> Guard:
    table = model._meta.db_table
    return _guard(
        "index", f"hub_own_{table}", table, f"CREATE UNIQUE INDEX {{name}} ON {table} (company_id, id)"
    )


def _composite_key(link: Link) -> Guard:
    table = link.model._meta.db_table
    return _guard(
        "constraint",
        f"hub_link_{table}_{link.column}",
        table,
        FORGET_PLAIN_KEY.format(table=table, column=link.column),
        f"ALTER TABLE {table} ADD CONSTRAINT {{name}} FOREIGN KEY (company_id, {link.column})"
        f" REFERENCES {link.target._meta.db_table} (company_id, {link.target_column})"
        " DEFERRABLE INITIALLY DEFERRED",
    )


def _postgres_trigger(link: Link) -> Guard:
    """The other row is looked for in everybody's: one that may not be seen is refused, too."""
    table = link.model._meta.db_table
    return _guard(
        "trigger",
        f"hub_link_{link.name}",
        table,
        f"""CREATE FUNCTION {{name}}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    own bigint; other bigint; seen text := coalesce(current_setting('app.company', true), '');
BEGIN
    PERFORM set_config('app.company', '*', true);
    own := {company_of(link.model, "NEW")};
    other := {_company_behind(link, "NEW")};
    PERFORM set_config('app.company', seen, true);
    IF own <> other THEN
        RAISE EXCEPTION 'a link across companies: {link}'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '{{name}}';
    END IF;
    RETURN NEW;
END $$""",
        f"CREATE TRIGGER {{name}} BEFORE INSERT OR UPDATE OF {_watched(link)} ON {table} FOR EACH ROW"
        f" WHEN (NEW.{link.column} IS NOT NULL) EXECUTE FUNCTION {{name}}()",
    )


def _stays(table: str) -> Guard:
    return _guard(
        "trigger",
        f"hub_stay_{table}",
        table,
        f"""CREATE FUNCTION {{name}}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row never changes its company: {table}'
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '{{name}}';
END $$""",
        f"CREATE TRIGGER {{name}} BEFORE UPDATE OF company_id ON {table} FOR EACH ROW"
        " WHEN (OLD.company_id IS DISTINCT FROM NEW.company_id) EXECUTE FUNCTION {name}()",
    )


def _sqlite(model: Model) -> Iterator[Guard]:
    table = model._meta.db_table
    for link in links(model):
        for event, how in (("INSERT", "in"), (f"UPDATE OF {_watched(link)}", "up")):
            yield _guard(
                "trigger",
                f"hub_link_{how}_{link.name}",
                table,
                f"CREATE TRIGGER {{name}} BEFORE {event} ON {table}"
                f" WHEN {company_of(model, 'NEW')} <> {_company_behind(link, 'NEW')}"
                f" BEGIN SELECT RAISE(ABORT, 'a link across companies: {link}'); END",
            )
    if is_owned(model):
        yield _guard(
            "trigger",
            f"hub_stay_{table}",
            table,
            f"CREATE TRIGGER {{name}} BEFORE UPDATE OF company_id ON {table}"
            " WHEN OLD.company_id IS NOT NEW.company_id"
            f" BEGIN SELECT RAISE(ABORT, 'a row never changes its company: {table}'); END",
        )


def _guard(kind: Kind, name: str, table: str, *statements: str) -> Guard:
    digest = hashlib.sha256("".join(statements).encode()).hexdigest()[:8]
    full = f"{name[:50]}_{digest}"
    return Guard(full, table, kind, tuple(each.replace("{name}", full) for each in statements))


def _watched(link: Link) -> str:
    """The columns whose change may make a link across companies."""
    parents = [] if is_owned(link.model) else [field.column for field in _parents(link.model)]
    own = ["company_id"] if is_owned(link.model) else parents
    return ", ".join(dict.fromkeys([*own, *(["scope"] if link.scope else []), link.column]))


def _keys(model: Model) -> list[Any]:
    fields: Iterable[Any] = model._meta.concrete_fields
    return [field for field in fields if field.is_relation and field.related_model is not None]


def _parents(model: Model) -> list[Any]:
    """The keys that give a model without a company its rows' company; the first one is asked."""
    if _is_company(model) or is_owned(model):
        return []
    return [field for field in _keys(model) if _leads_to_a_company(field)]


def _leads_to_a_company(field: Any) -> bool:
    target = field.related_model
    if field.name == "company" or target is field.model or not target._meta.managed:
        return False
    return belongs(target)


def _link(model: Model, field: Any) -> Link:
    target = field.target_field
    return Link(model, field.column, field.related_model, target.column, field.db_constraint)


def _by_number(model: Model) -> list[Link]:
    pointed: dict[str, str] = getattr(model, "points_to", {})
    scoped: dict[str, str] = getattr(model, "scopes_point_to", {})
    return [
        *(Link(model, column, apps.get_model(name), "id", False) for column, name in pointed.items()),
        *(
            Link(model, "scope_value", apps.get_model(name), "id", False, scope)
            for scope, name in scoped.items()
        ),
    ]


def _is_company(model: Any) -> bool:
    return bool(model._meta.label_lower == "tenancy.company")
