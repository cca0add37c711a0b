"""How many jobs there are: what has ended is folded, what waits or runs is few and counted by index.

Every job that ends writes one closing entry of the ledger with its end (a ``settle`` or a ``void``), so
that the ledger's own cursor serves here, too: nothing is written on a job's road for being counted, and
no row is touched by all. Its brand, type, book and day are read from the job when it is folded; none of
them changes after its end. Whoever deletes a job appends a JobRemoval.

No index tells the states apart: one would have to change whenever a job does, which its updates do without
(ai_core/models.py). What waits is found by ``ring_at``, what runs by its call, as the relay and the
reaper find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

ROLLUPS, CLOSINGS, REMOVALS = "ai_usage_jobrollup", "ai_usage_countedjob", "ai_usage_removedjob"
DIMENSIONS = ("company_id", "sandbox", "brand_id", "day", "job_type_id")
SUMS = ("jobs", "completed", "failed", "cancelled", "timeout")
#: How a difference names its kind.
KIND = "jobs"
CURSOR = "(SELECT max({name}) FROM ai_usage_rollupcursor)"


@dataclass(frozen=True, slots=True)
class Difference:
    """Rollups that do not say what the jobs say: by how much they say too much, figure by figure."""

    company_id: int
    day: str | None
    sandbox: bool
    provider: str
    model: str
    figures: dict[str, int]


def fold_statement(view: str, condition: str) -> str:
    """Add the view's rows to their rollups."""
    keys = ", ".join(DIMENSIONS)
    adds = ", ".join(f"{name} = {ROLLUPS}.{name} + excluded.{name}" for name in SUMS)
    return (
        f"INSERT INTO {ROLLUPS} ({keys}, {', '.join(SUMS)})"
        f" SELECT {keys}, {', '.join(f'SUM({name})' for name in SUMS)} FROM {view} WHERE {condition}"
        f" GROUP BY {keys} ON CONFLICT ({keys}) DO UPDATE SET {adds}"
    )


def complete_removals() -> None:
    """Append the removals of jobs that were deleted and have none."""
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO ai_usage_jobremoval (company_id, job_id, created_at) SELECT j.company_id, j.id,"
            " j.deleted_at FROM ai_core_aijob j WHERE j.deleted_at IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM ai_usage_jobremoval r WHERE r.job_id = j.id)"
        )


def check(*, by_day: bool = False) -> list[Difference]:
    """Where rollups, with what is not folded yet, differ from the closed jobs that were not deleted."""
    keys = [name for name in DIMENSIONS if by_day or name != "day"]
    names, sums = ", ".join(keys), ", ".join(f"SUM({name})" for name in SUMS)
    plain, true = ", ".join(SUMS), ", ".join(f"-{name} AS {name}" for name in SUMS)
    entry, removal = CURSOR.format(name="job_entry_id"), CURSOR.format(name="removal_id")
    statement = (
        f"SELECT {names}, {sums} FROM (SELECT {names}, {plain} FROM {ROLLUPS}"
        f" UNION ALL SELECT {names}, {plain} FROM {CLOSINGS} WHERE entry_id > {entry}"
        f" UNION ALL SELECT {names}, {plain} FROM {REMOVALS} WHERE entry_id > {removal}"
        f" UNION ALL SELECT {names}, {true} FROM {CLOSINGS} WHERE deleted_at IS NULL) f GROUP BY {names}"
        f" HAVING {' OR '.join(f'SUM({name}) <> 0' for name in SUMS)} ORDER BY {names}"
    )
    with connection.cursor() as database:
        database.execute(statement)
        rows = database.fetchall()
        database.execute("SELECT id, name FROM ai_core_aijobtype")
        types = dict(database.fetchall())
    return [_difference(keys, row, types) for row in rows]


def _difference(keys: list[str], row: tuple[Any, ...], types: dict[int, str]) -> Difference:
    found = dict(zip(keys, row, strict=False))
    off = {name: int(n) for name, n in zip(SUMS, row[len(keys) :], strict=True) if n}
    day = str(found["day"]) if "day" in found else None
    name = types.get(found["job_type_id"], str(found["job_type_id"]))
    return Difference(found["company_id"], day, bool(found["sandbox"]), KIND, name, off)
