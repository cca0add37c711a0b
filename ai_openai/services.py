"""The OpenAIJob that is written in the same transaction as the job it tells of."""

from __future__ import annotations

from typing import Any

import orjson

from ai_core.services.accept import EXTENSIONS, Acceptance, Extension
from ai_openai.domain import record
from megahub.kernel import sql

TABLE = "ai_openai_openaijob"
ROWS = sql.Rows(
    "r",
    {
        "company_id": "int",
        "ai_job_id": "int",
        "model": "text",
        "generation": "text",
        "temperature": "float",
        "max_tokens": "int",
        "max_completion_tokens": "int",
        "reasoning_effort": "text",
        "messages_format": "text",
        "tools": "json",
        "response_format": "json",
        "created_at": "time",
    },
)


def register() -> None:
    """Have a row written beside every accepted job; called once, when the app is ready."""
    if all(extension.table != TABLE for extension in EXTENSIONS):
        EXTENSIONS.append(Extension(TABLE, ROWS, row))


def row(entry: Acceptance, job_pk: int) -> dict[str, Any]:
    """The columns of a job's OpenAIJob."""
    job = entry.job
    columns = record.columns(job.terms.spec, job.call.params, job.reasoning_effort)
    for name in ("tools", "response_format"):
        if columns[name] is not None:
            columns[name] = orjson.dumps(columns[name])
    return {
        **columns,
        "company_id": job.company_id,
        "ai_job_id": job_pk,
        "created_at": job.created_at,
    }
