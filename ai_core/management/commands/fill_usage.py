"""``fill_usage --rows N``: finished jobs with their usage over 24 months and 50 companies, for measuring.

The first company has three tenths of the rows. On PostgreSQL they are copied in.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction
from django.db.models import Max

from ai_core.models import AIJob, AIJobType
from ai_providers.catalogue import loading
from ai_usage.models import LedgerEntry
from ai_usage.services import rollups
from megahub.kernel import clock, sql, trail
from megahub.tenancy.models import Brand, Company, Membership, User
from megahub.tenancy.roles import Role

COMPANIES = 50
DAYS = 730
FIRST_SHARE = 0.3
CHUNK = 20_000
FOLDED_AT_ONCE = 500_000
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "o3", "o3-mini", "gpt-3.5-turbo")
JOB = {
    "priority": "normal",
    "description": "filled",
    "endpoint": "chat",
    "sandbox": True,
    "with_defaults": False,
    "is_async": False,
    "progress_percentage": 100,
    "input_data": "{}",
    "params": "{}",
    "holds": "[]",
    "task_id": "",
    "revision": 3,
    "attempt_no": 1,
    "max_attempts": 1,
    "unknown_attempts": 0,
}
WHOSE = "company_id brand_id generation model provider execution_time_ms".split()
JOB_NAMES = (
    *WHOSE,
    *"job_id id created_by_id status created_at started_at completed_at run_at".split(),
)
ENTRY_NAMES = (
    *WHOSE,
    *"job_ref job_id reasoning_effort outcome is_success input_tokens output_tokens".split(),
    *"cost_nano_usd cost_input_nano_usd charged_nano_usd created_at".split(),
)
ENTRY = {
    "sandbox": True,
    "attempt_no": 1,
    "kind": "settle",
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "is_estimated": False,
    "reserved_nano_usd": 0,
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A filled company."""

    company_id: int
    brands: tuple[int, ...]
    user_id: int


class Command(BaseCommand):
    help = "Fill the database with usage for measuring; owners are filled-1 … filled-50."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rows", type=int, required=True)
        parser.add_argument("--companies", type=int, default=COMPANIES)
        parser.add_argument("--password", help="of the companies' owners (none: nobody signs in)")
        parser.add_argument("--seed", type=int, default=1)

    @trail.recorded("usage.fill")
    def handle(self, *args: Any, **options: Any) -> None:
        tenants = [_tenant(number, options["password"]) for number in range(1, options["companies"] + 1)]
        last = AIJob.objects.unscoped().aggregate(last=Max("pk"))["last"] or 0
        chance = random.Random(options["seed"])  # noqa: S311 # nosec B311 - figures to measure with, no secrets
        job = {**JOB, "job_type_id": AIJobType.objects.get(name="chat_completion").pk}
        for begin in range(0, options["rows"], CHUNK):
            number = min(CHUNK, options["rows"] - begin)
            made = list(_rows(chance, tenants, last + 1, begin, number, options["rows"]))
            with transaction.atomic():
                _store(AIJob._meta.db_table, JOB_NAMES, job, [row for row, _ in made])
                _store(LedgerEntry._meta.db_table, ENTRY_NAMES, ENTRY, [entry for _, entry in made])
        _move_sequence(AIJob._meta.db_table)
        self.stdout.write(f"{options['rows']} jobs with their usage.")
        for _ in range(2):
            rollups.fold(timedelta(0), FOLDED_AT_ONCE)
        if sql.on_postgres():
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")


def _tenant(number: int, password: str | None) -> Tenant:
    """The company of that number, made when it is not there."""
    company, _ = Company.objects.get_or_create(
        slug=f"filled-{number}", defaults={"name": f"Filled {number}", "use_sandbox": True}
    )
    owned = Brand.objects.unscoped()
    brands = [owned.get_or_create(company=company, name=f"Brand {letter}")[0] for letter in ("A", "B")]
    user, is_new = User.objects.get_or_create(username=f"filled-{number}")
    if is_new and password:
        user.set_password(password)
        user.save(update_fields=["password"])
    Membership.objects.unscoped().get_or_create(
        company=company, user=user, defaults={"role": Role.OWNER, "default_brand": brands[0]}
    )
    return Tenant(company.pk, tuple(brand.pk for brand in brands), user.pk)


def _rows(
    chance: random.Random, tenants: list[Tenant], first: int, begin: int, number: int, rows: int
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """(job, ledger entry) of each, in the order of time; their values as JOB_NAMES and ENTRY_NAMES say."""
    start, step = clock.now() - timedelta(days=DAYS), timedelta(days=DAYS) / rows
    specs = [loading.models()[name] for name in MODELS]
    times = [int(chance.lognormvariate(7, 0.8)) for _ in range(1000)]
    pick, drawn = chance.choice, chance.random
    for each in range(begin, begin + number):
        tenant = tenants[0] if drawn() < FIRST_SHARE else pick(tenants)
        spec, ended = pick(specs), start + step * each
        incoming, outgoing = 50 + int(drawn() * 3950), 20 + int(drawn() * 1480)
        cost_input, cost = incoming * 150, incoming * 150 + outgoing * 600
        is_success, pk = drawn() > 0.02, first + each
        outcome = "completed" if is_success else "failed"
        whose = (tenant.company_id, pick(tenant.brands), spec.generation, spec.id, spec.provider)
        common = (*whose, pick(times), f"ai_job_filled_{pk}")
        yield (
            (*common, pk, tenant.user_id, outcome, ended, ended, ended, ended),
            (
                *(*common, pk, spec.default_reasoning_effort, outcome, is_success, incoming, outgoing),
                *(cost, cost_input, cost, ended),
            ),
        )


def _store(table: str, names: tuple[str, ...], fixed: dict[str, Any], rows: list[tuple[Any, ...]]) -> None:
    """Rows whose values are those of ``names``, and ``fixed`` the same in all of them."""
    columns = ", ".join((*names, *fixed))
    with connection.cursor() as cursor:
        if sql.on_postgres():
            # Row-level security takes no COPY: the rows are copied beside the table, then inserted.
            like = f"SELECT {columns} FROM {table} LIMIT 0"
            cursor.execute(f"CREATE TEMP TABLE filled ON COMMIT DROP AS {like}")
            tail = "".join(f"\t{_copied(value)}" for value in fixed.values()) + "\n"
            with cursor.copy(f"COPY filled ({columns}) FROM STDIN") as copy:
                copy.write("".join("\t".join(map(_copied, row)) + tail for row in rows))
            cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM filled")
            cursor.execute("DROP TABLE filled")
            return
        places = ", ".join("%s" for _ in (*names, *fixed))
        plain = [
            [sql.sqlite_time(value) if isinstance(value, datetime) else value for value in row]
            for row in ((*row, *fixed.values()) for row in rows)
        ]
        cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", plain)


def _copied(value: Any) -> str:
    """A value in COPY's text format; none of ours holds a tab, a line break or a backslash."""
    return "\\N" if value is None else str(value)


def _move_sequence(table: str) -> None:
    """Numbers were given by hand: the next one is drawn above them."""
    if sql.on_postgres():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            )
