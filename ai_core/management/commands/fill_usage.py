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
CHUNK = 10_000
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "o3", "o3-mini", "gpt-3.5-turbo")
JOB = {
    "job_id": "",
    "status": "completed",
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
        chance = random.Random(options["seed"])  # noqa: S311 - figures to measure with, no secrets
        for begin in range(0, options["rows"], CHUNK):
            number = min(CHUNK, options["rows"] - begin)
            made = list(_rows(chance, tenants, last + 1, begin, number, options["rows"]))
            with transaction.atomic():
                _store(AIJob._meta.db_table, [job for job, _ in made])
                _store(LedgerEntry._meta.db_table, [entry for _, entry in made])
        _move_sequence(AIJob._meta.db_table)
        self.stdout.write(f"{options['rows']} jobs with their usage.")
        rollups.fold(timedelta(0))
        rollups.fold(timedelta(0))
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
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(job, ledger entry) of each, in the order of time."""
    job_type = AIJobType.objects.get(name="chat_completion").pk
    start, step = clock.now() - timedelta(days=DAYS), timedelta(days=DAYS) / rows
    specs = [loading.models()[name] for name in MODELS]
    for each in range(begin, begin + number):
        tenant = tenants[0] if chance.random() < FIRST_SHARE else chance.choice(tenants)
        spec, ended = chance.choice(specs), start + step * each
        milliseconds = int(chance.lognormvariate(7, 0.8))
        incoming, outgoing = chance.randint(50, 4000), chance.randint(20, 1500)
        cost_input, cost = incoming * 150, incoming * 150 + outgoing * 600
        is_success = chance.random() > 0.02
        whose = {
            "company_id": tenant.company_id,
            "brand_id": chance.choice(tenant.brands),
            "generation": spec.generation,
            "model": spec.id,
            "provider": spec.provider,
            "sandbox": True,
            "attempt_no": 1,
            "execution_time_ms": milliseconds,
        }
        ref = f"ai_job_filled_{first + each}"
        yield (
            _job(whose, first + each, ref, job_type, tenant.user_id, is_success, ended),
            {
                **whose,
                "job_id": first + each,
                "job_ref": ref,
                "kind": "settle",
                "reasoning_effort": spec.default_reasoning_effort,
                "outcome": "completed" if is_success else "failed",
                "is_success": is_success,
                "input_tokens": incoming,
                "cache_read_tokens": 0,
                "cache_write_tokens": 0,
                "output_tokens": outgoing,
                "reasoning_tokens": 0,
                "is_estimated": False,
                "cost_nano_usd": cost,
                "cost_input_nano_usd": cost_input,
                "charged_nano_usd": cost,
                "reserved_nano_usd": 0,
                "created_at": ended,
            },
        )


def _job(
    whose: dict[str, Any], pk: int, ref: str, job_type: int, user: int, done: bool, ended: datetime
) -> dict[str, Any]:
    moments = dict.fromkeys(("created_at", "started_at", "completed_at", "run_at"), ended)
    return {
        **JOB,
        **whose,
        **moments,
        "id": pk,
        "job_id": ref,
        "job_type_id": job_type,
        "created_by_id": user,
        "status": "completed" if done else "failed",
    }


def _store(table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    columns = ", ".join(names)
    with connection.cursor() as cursor:
        if sql.on_postgres():
            # Row-level security takes no COPY: the rows are copied beside the table, then inserted.
            like = f"SELECT {columns} FROM {table} LIMIT 0"
            cursor.execute(f"CREATE TEMP TABLE filled ON COMMIT DROP AS {like}")
            with cursor.copy(f"COPY filled ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(list(row.values()))
            cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM filled")
            cursor.execute("DROP TABLE filled")
            return
        places = ", ".join("%s" for _ in names)
        plain = [
            [sql.sqlite_time(value) if isinstance(value, datetime) else value for value in row.values()]
            for row in rows
        ]
        cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", plain)


def _move_sequence(table: str) -> None:
    """Numbers were given by hand: the next one is drawn above them."""
    if sql.on_postgres():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            )
