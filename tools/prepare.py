"""``python -m tools.prepare``: migrations and the demo's people, in one process.

Reads ``{"password": …}`` from stdin, so that it stands on no command line. The last line of stdout
is ``{"users": [...], "answers": "sandbox" | "provider" | ""}``: who would answer the company Demo.
"""

# ruff: noqa: E402
from __future__ import annotations

import io
import json
import sys

import django

django.setup()

from django.core.management import call_command
from django.db import connection

from ai_providers import selectors
from megahub.kernel.errors import NoApiKey
from megahub.tenancy.models import Company

#: The number of the advisory lock: any that nothing else takes.
MIGRATING = 20_261_120


def migrate() -> None:
    """Migrate, one launcher at a time on PostgreSQL."""
    if connection.vendor != "postgresql":
        call_command("migrate", interactive=False, verbosity=0)
        return
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '120s'")
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        cursor.execute("RESET lock_timeout")
        call_command("migrate", interactive=False, verbosity=0)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])


def make_people(password: str) -> dict[str, object]:
    """The demo's users as ``setup_demo`` tells of them, and who answers their company."""
    told = io.StringIO()
    call_command("setup_demo", password=password, stdout=told)
    company = Company.objects.get(slug="demo")
    try:
        accesses = selectors.accesses(company.pk, "openai")
    except NoApiKey:
        return {**json.loads(told.getvalue()), "answers": ""}
    answers = "sandbox" if accesses[0].is_sandbox else "provider"
    return {**json.loads(told.getvalue()), "answers": answers}


if __name__ == "__main__":
    call_command("check", tags=["security"])
    migrate()
    print(json.dumps(make_people(json.load(sys.stdin)["password"])))
