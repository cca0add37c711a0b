"""A line ends: in one transaction with what is written of it, its ledger entry, its batch's counters
and the budgets. The fence is the attempt's number; who comes too late changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ai_batch.domain import results
from ai_batch.services import holding
from ai_providers.domain.pricing import Cost
from ai_providers.domain.wire import Usage
from ai_usage.services import budgets, ledger
from ai_usage.services.budgets import Charge
from megahub.kernel import sql
from megahub.kernel.session import Session

LINES = sql.Rows(
    "r",
    {
        "id": "int",
        "attempt_no": "int",
        "status": "text",
        "status_code": "int",
        "error_code": "text",
        "input_tokens": "int",
        "cached_tokens": "int",
        "output_tokens": "int",
        "reasoning_tokens": "int",
        "cost_nano_usd": "int",
        "ended_at": "time",
    },
)
END = (
    "UPDATE ai_batch_line SET status = r.status, status_code = r.status_code, error_code = r.error_code,"
    " input_tokens = r.input_tokens, cached_tokens = r.cached_tokens, output_tokens = r.output_tokens,"
    " reasoning_tokens = r.reasoning_tokens, cost_nano_usd = r.cost_nano_usd, ended_at = r.ended_at"
    " FROM {source} WHERE ai_batch_line.id = r.id AND ai_batch_line.status = 'running'"
    " AND ai_batch_line.attempt_no = r.attempt_no RETURNING ai_batch_line.id"
)
RESULTS = sql.Rows("r", {"batch_id": "int", "line_no": "int", "is_error": "bool", "body": "text"})
COUNT = (
    "UPDATE ai_batch_batch SET completed = completed + %s, failed = failed + %s,"
    " input_tokens = input_tokens + %s, cached_tokens = cached_tokens + %s,"
    " output_tokens = output_tokens + %s, reasoning_tokens = reasoning_tokens + %s,"
    " cost_nano_usd = cost_nano_usd + %s, unpriced = unpriced + %s"
    " WHERE id = %s RETURNING completed + failed, total"
)


@dataclass(frozen=True, slots=True)
class Running:
    """What of a batch its lines' settlements need; the same for all of them."""

    pk: int
    company_id: int
    brand_id: int
    provider: str
    model: str
    generation: str
    sandbox: bool
    windows: list[list[Any]]


@dataclass(slots=True)
class LineEnd:
    """How an attempt ended its line. Without ``usage`` nothing was used: the line is voided.

    Not frozen: with so many fields that doubles what making one costs, and there is one for every line.
    """

    batch: Running
    pk: int
    line_no: int
    attempt_no: int
    held_nano_usd: int
    held_tokens: int
    status: str
    body: str
    ended_at: datetime
    status_code: int | None = None
    error_code: str | None = None
    execution_time_ms: int | None = None
    reasoning_effort: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    charged_nano_usd: int = 0
    #: In the spool only: the content filter has not looked at the answer yet.
    unseen: bool = False

    @property
    def is_error(self) -> bool:
        return self.status != "completed"

    @property
    def charge(self) -> Charge:
        if self.usage is None:
            return Charge()
        return Charge(self.charged_nano_usd, self.usage.total_tokens, 1)


class SettleLines:
    """Journal writer: None for an end that came too late, else whether the whole batch is through."""

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[LineEnd]) -> list[bool | None]:
        rows = session.rows(END.format(source=LINES.source), [LINES.pack(map(_line_row, entries))])
        ended = {pk for (pk,) in rows}
        own = [entry for entry in entries if entry.pk in ended]
        if not own:
            return [None] * len(entries)
        written = [
            {"batch_id": e.batch.pk, "line_no": e.line_no, "is_error": e.is_error, "body": e.body}
            for e in own
        ]
        session.execute(sql.insert("ai_batch_lineresult", RESULTS), [RESULTS.pack(written)])
        ledger.record(session, [_ledger_row(entry) for entry in own])
        through = count(session, own)
        budgets.charge(session, [(_held(e), e.batch.sandbox, e.charge) for e in own])
        return [through[e.batch.pk] if e.pk in ended else None for e in entries]

    def recover(self, session: Session, entry: LineEnd) -> bool | None:
        """Whether it stands in the ledger; the batch's end is then found by beat."""
        query = "SELECT 1 FROM ai_usage_ledgerentry WHERE job_id = %s AND kind IN ('settle', 'void')"
        return False if session.rows(query, [results.ledger_number(entry.pk)]) else None


class SettleSlices:
    """Journal writer: lines that ended together, as one entry; what ``SettleLines`` says of each.

    A slice that cannot be written is refused as a whole, and its lines are to be written one by one.
    """

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[list[LineEnd]]) -> list[list[bool | None]]:
        told = iter(SETTLE_LINES.write(session, [end for each in entries for end in each]))
        return [[next(told) for _ in each] for each in entries]

    def recover(self, session: Session, entry: list[LineEnd]) -> None:
        """Written twice is written once: the fence says so, and beat finds a batch that is through."""


SETTLE_LINES = SettleLines()
SETTLE_SLICES = SettleSlices()


def count(session: Session, ended: list[LineEnd]) -> dict[int, bool]:
    """Add what ended to the counters of their batches; which of them are through."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0] * 8)
    for entry in ended:
        used = entry.usage or Usage()
        added = (
            int(not entry.is_error),
            int(entry.is_error),
            used.prompt_tokens,
            used.cache_read,
            used.completion_tokens,
            used.reasoning,
            entry.cost.usd_nano if entry.cost else 0,
            int(entry.usage is not None and entry.cost is None),
        )
        sums[entry.batch.pk] = [a + b for a, b in zip(sums[entry.batch.pk], added, strict=True)]
    through = {}
    for pk in sorted(sums):
        done, total = session.rows(COUNT, [*sums[pk], pk])[0]
        through[pk] = done >= total
    return through


def _held(entry: LineEnd) -> list[list[Any]]:
    return holding.stored(entry.batch.windows, 1, entry.held_nano_usd, entry.held_tokens)


def _line_row(entry: LineEnd) -> dict[str, Any]:
    used = entry.usage or Usage()
    free = 0 if entry.usage is None else None
    return {
        "id": entry.pk,
        "attempt_no": entry.attempt_no,
        "status": entry.status,
        "status_code": entry.status_code,
        "error_code": entry.error_code,
        "input_tokens": used.prompt_tokens,
        "cached_tokens": used.cache_read,
        "output_tokens": used.completion_tokens,
        "reasoning_tokens": used.reasoning,
        "cost_nano_usd": entry.cost.usd_nano if entry.cost else free,
        "ended_at": entry.ended_at,
    }


def _ledger_row(entry: LineEnd) -> dict[str, Any]:
    used, cost, batch = entry.usage or Usage(), entry.cost, entry.batch
    free = 0 if entry.usage is None else None
    return {
        "company_id": batch.company_id,
        "brand_id": batch.brand_id,
        "job_id": results.ledger_number(entry.pk),
        "job_ref": results.ref_of(entry.pk),
        "attempt_no": entry.attempt_no,
        "kind": "void" if entry.usage is None else "settle",
        "provider": batch.provider,
        "model": batch.model,
        "generation": batch.generation,
        "reasoning_effort": entry.reasoning_effort,
        "sandbox": batch.sandbox,
        "outcome": "completed" if entry.status == "completed" else "failed",
        "is_success": entry.status == "completed",
        "execution_time_ms": entry.execution_time_ms,
        "input_tokens": used.input,
        "cache_read_tokens": used.cache_read,
        "cache_write_tokens": used.cache_write,
        "output_tokens": used.output,
        "reasoning_tokens": used.reasoning,
        "is_estimated": used.estimated,
        "currency": cost.currency if cost else None,
        "amount_nano": cost.nano if cost else None,
        "rate_usd": cost.rate.usd if cost else None,
        "rate_day": cost.rate.day if cost else None,
        "price_since": cost.price_since if cost else None,
        "cost_nano_usd": cost.usd_nano if cost else free,
        "cost_input_nano_usd": cost.input_usd_nano if cost else free,
        "charged_nano_usd": entry.charged_nano_usd,
        "reserved_nano_usd": entry.held_nano_usd if entry.batch.windows else 0,
        "created_at": entry.ended_at,
    }
