"""The ledger in the journal's transactions: entries are appended, never changed."""

from __future__ import annotations

from typing import Any

from megahub.kernel import sql
from megahub.kernel.session import Session

LEDGER = sql.Rows(
    "r",
    {
        "company_id": "int",
        "brand_id": "int",
        "job_id": "int",
        "job_ref": "text",
        "attempt_no": "int",
        "kind": "text",
        "provider": "text",
        "model": "text",
        "generation": "text",
        "reasoning_effort": "text",
        "sandbox": "bool",
        "outcome": "text",
        "is_success": "bool",
        "execution_time_ms": "int",
        "first_byte_ms": "int",
        "input_tokens": "int",
        "cache_read_tokens": "int",
        "cache_write_tokens": "int",
        "output_tokens": "int",
        "reasoning_tokens": "int",
        "is_estimated": "bool",
        "currency": "text",
        "amount_nano": "int",
        "rate_usd": "number",
        "rate_day": "date",
        "price_since": "date",
        "cost_nano_usd": "int",
        "cost_input_nano_usd": "int",
        "charged_nano_usd": "int",
        "reserved_nano_usd": "int",
        "created_at": "time",
    },
)
#: A ledger entry for a job that used nothing; the caller adds whose it is.
VOID: dict[str, Any] = {
    "attempt_no": 0,
    "kind": "void",
    "is_success": False,
    "input_tokens": 0,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 0,
    "reasoning_tokens": 0,
    "is_estimated": False,
    "cost_nano_usd": 0,
    "cost_input_nano_usd": 0,
    "charged_nano_usd": 0,
    "reserved_nano_usd": 0,
}


def record(session: Session, entries: list[dict[str, Any]]) -> None:
    """Append entries (the columns of ``LEDGER``)."""
    session.execute(sql.insert("ai_usage_ledgerentry", LEDGER), [LEDGER.pack(entries)])
