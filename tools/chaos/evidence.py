"""What is left after a run: the callers' history, the provider's log, the database, the receiver."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tools.chaos.callers import Seen

Row = dict[str, Any]

#: What the judge reads, and nothing more. Prompts are read for their marks.
QUERIES = {
    "jobs": "SELECT id, job_id, company_id, status, attempt_no, holds, input_data, response,"
    " created_at, completed_at FROM ai_core_aijob",
    "attempts": "SELECT a.job_id, j.job_id AS job_ref, a.attempt_no, a.phase, a.usage"
    " FROM ai_core_attempt a JOIN ai_core_aijob j ON j.id = a.job_id",
    "ledger": "SELECT job_id, company_id, kind, sandbox, charged_nano_usd, reserved_nano_usd,"
    " input_tokens + cache_read_tokens + cache_write_tokens + output_tokens + reasoning_tokens AS tokens"
    " FROM ai_usage_ledgerentry",
    "windows": 'SELECT w.id, w.budget_id, b.company_id, b.scope, b.unit, b.period, b."limit",'
    " b.is_hard, w.sandbox, w.reserved, w.spent, w.forgiven"
    " FROM ai_usage_budgetwindow w JOIN ai_usage_budget b ON b.id = w.budget_id",
    "companies": "SELECT id, slug FROM tenancy_company",
}

#: Row-level security shows them to whoever asks for all companies'.
ALL_ROWS = "-c app.company=*"


@dataclass(frozen=True)
class Evidence:
    """``calls`` are the provider's log; ``taken`` counts what the receiver took, by its own words."""

    history: list[Seen]
    calls: list[Row]
    jobs: list[Row]
    attempts: list[Row]
    ledger: list[Row]
    windows: list[Row]
    companies: dict[int, str]
    taken: Counter[str] = field(default_factory=Counter)


def rows(url: str, query: str) -> list[Row]:
    """The rows of a query against either database. JSON comes as what it holds."""
    (found,) = snapshot(url, [query])
    return found


def snapshot(url: str, queries: Iterable[str]) -> list[list[Row]]:
    """The rows of queries as of one moment: what is still being written is in all of them or in none."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            return [[dict(row) for row in connection.execute(query)] for query in queries]
    with psycopg.connect(url, row_factory=dict_row, connect_timeout=5, options=ALL_ROWS) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return [list(postgres.execute(query)) for query in queries]


def execute(url: str, statement: str) -> None:
    """Run one statement."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as connection:
            connection.execute(statement)
            connection.commit()
        return
    with psycopg.connect(url, connect_timeout=5, options=ALL_ROWS) as postgres:
        postgres.execute(statement)


def database(url: str) -> dict[str, list[Row]]:
    """The tables that the judge reads."""
    found = dict(zip(QUERIES, snapshot(url, QUERIES.values()), strict=True))
    for job in found["jobs"]:
        job |= {name: _decoded(job[name]) for name in ("holds", "input_data", "response")}
    return found


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


def log(file: Path) -> list[Row]:
    """The provider's calls to models, as it wrote them down."""
    with file.open() as lines:
        found = [json.loads(line) for line in lines]
    return [call for call in found if call["method"] == "POST" and "chat/completions" in call["path"]]


def gather(url: str, history: list[Seen], provider_log: Path, taken: Counter[str]) -> Evidence:
    """All of it."""
    tables = database(url)
    companies = {row["id"]: row["slug"] for row in tables.pop("companies")}
    return Evidence(history, log(provider_log), companies=companies, taken=taken, **tables)
