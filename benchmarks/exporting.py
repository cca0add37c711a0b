"""One export, measured in the process that makes it; ``benchmarks.exports`` starts it."""

from __future__ import annotations

import resource
import tempfile
import time
from typing import Any, BinaryIO

from django.db import connection

from ai_usage.domain.exports import FIELDS
from ai_usage.models import LedgerEntry
from ai_usage.selectors import Scope, exporting, listing
from ai_usage.services import export_files
from megahub.tenancy.models import Company

OWNER = "filled-1"


def one(name: str, number: int) -> tuple[int, float, float, float]:
    """(rows, seconds, MiB above idle, MiB of the file) of one export."""
    rows = of_company(number)
    idle = peak()
    with tempfile.TemporaryFile() as file:
        began = time.monotonic()
        written = copied(rows, file) if name == "COPY" else export_files.write(rows, name, file).rows
        return written, time.monotonic() - began, peak() - idle, file.tell() / 2**20


def of_company(number: int) -> Any:
    """The oldest so many rows of the largest company; what a first query loads is loaded."""
    company = Company.objects.get(memberships__user__username=OWNER)
    rows = listing.listed(Scope(company.pk, None, True, company.timezone))
    own = LedgerEntry.objects.of(company.pk).order_by("created_at").values_list("created_at", flat=True)
    after = own[number : number + 1]
    found = rows.filter(created_at__lt=after[0]) if after else rows
    exporting.chunk(found.filter(pk=0), None)
    return found


def copied(rows: Any, file: BinaryIO) -> int:
    """What PostgreSQL's own COPY makes of the same columns in the same order."""
    query = rows.order_by("created_at", "pk").values_list("pk", "created_at", *FIELDS).query
    statement, params = query.sql_with_params()
    number = 0
    with connection.cursor() as cursor:
        with cursor.cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv)", params) as lines:
            for block in lines:
                file.write(block)
        number = cursor.cursor.rowcount
    return int(number)


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
