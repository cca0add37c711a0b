"""T3: a job ends, in one transaction with its usage, its ledger entry and its budgets.

The fence is the attempt's number: whoever settles an attempt that is no longer the job's own (a
worker that had been given up for dead) does not touch the job. What its call cost is written as a late
cost: a ledger entry of its own, charged to the budgets in place of the exposure that was held for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from ai_core.services import telling
from ai_providers.domain.pricing import Cost
from ai_providers.domain.wire import Usage
from ai_usage.services import budgets, exposures, ledger
from ai_usage.services.budgets import Charge
from ai_usage.services.exposures import Exposure
from megahub.delivery.services import outbox
from megahub.kernel import sql
from megahub.kernel.session import Session

JOBS = sql.Rows(
    "r",
    {
        "id": "int",
        "attempt_no": "int",
        "status": "text",
        "response": "json",
        "error": "json",
        "progress": "int",
        "ended_at": "time",
        "cancelled_at": "time",
        "execution_time_ms": "int",
        "input_data": "json",
        "forget_at": "time",
    },
)
END_JOBS = (
    "UPDATE ai_core_aijob SET status = r.status, response = r.response, error = r.error,"
    " progress_percentage = r.progress, completed_at = r.ended_at, cancelled_at = r.cancelled_at,"
    " execution_time_ms = r.execution_time_ms, deadline_at = NULL,"
    " input_data = COALESCE(r.input_data, ai_core_aijob.input_data), "
    " forget_at = COALESCE(r.forget_at, ai_core_aijob.forget_at),"
    " revision = ai_core_aijob.revision + 1"
    " FROM {source} WHERE ai_core_aijob.id = r.id AND ai_core_aijob.status = 'running'"
    " AND ai_core_aijob.attempt_no = r.attempt_no RETURNING ai_core_aijob.id, ai_core_aijob.attempt_no,"
    " ai_core_aijob.holds"
)
ATTEMPTS = sql.Rows(
    "r",
    {
        "job_id": "int",
        "attempt_no": "int",
        "phase": "text",
        "source": "text",
        "provider_ref": "text",
        "error_code": "text",
        "usage": "json",
        "first_byte_ms": "int",
        "ended_at": "time",
    },
)
END_ATTEMPTS = (
    "UPDATE ai_core_attempt SET phase = r.phase, source = r.source, provider_ref = r.provider_ref,"
    " error_code = r.error_code, usage = r.usage, first_byte_ms = r.first_byte_ms,"
    " ended_at = r.ended_at"
    " FROM {source} WHERE ai_core_attempt.job_id = r.job_id"
    " AND ai_core_attempt.attempt_no = r.attempt_no"
    " AND ai_core_attempt.phase IN ('calling', 'unknown')"
)
THEIRS = " RETURNING ai_core_attempt.job_id, ai_core_attempt.attempt_no"
Changes = list[tuple[list[list[Any]], bool, Charge]]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended its job. Without ``usage`` nothing was used: the job is voided.

    ``cost`` is None while the model is unpriced; ``charged_nano_usd`` then holds the pessimistic
    amount. ``response`` is JSON; ``error`` is ``HubError.as_data``.
    """

    job_pk: int
    job_ref: str
    attempt_no: int
    company_id: int
    brand_id: int
    provider: str
    model: str
    generation: str
    reasoning_effort: str | None
    sandbox: bool
    status: str
    phase: str
    source: str
    ended_at: datetime
    execution_time_ms: int
    first_byte_ms: int | None = None
    response: bytes | None = None
    error: dict[str, Any] | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    charged_nano_usd: int = 0
    provider_ref: str | None = None
    #: The events that the company's webhooks want (megahub/delivery/selectors.py).
    wanted: frozenset[str] = frozenset()
    #: The request as it is kept from now on; None: as it is. And when the answer goes, too.
    input_data: bytes | None = None
    forget_at: datetime | None = None
    #: In the spool only: the content filter has not looked at the answer yet.
    unseen: bool = False

    @property
    def charge(self) -> Charge:
        """What it counts against each kind of budget."""
        if self.usage is None:
            return Charge(exposes=int(self.phase == "unknown"))
        return Charge(self.charged_nano_usd, self.usage.total_tokens, 1)

    @property
    def key(self) -> tuple[int, int]:
        """Which attempt this is the end of."""
        return self.job_pk, self.attempt_no

    @property
    def is_known(self) -> bool:
        """Whether it is known what the call came to."""
        return self.usage is not None or self.phase != "unknown"


class Settle:
    """Journal writer: True for a settlement that ended its job, False for one that came too late."""

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[Settlement]) -> list[bool]:
        rows = JOBS.pack(_job_row(entry) for entry in entries)
        found = session.rows(END_JOBS.format(source=JOBS.source), [rows])
        ended = {(pk, attempt_no): orjson.loads(holds) for pk, attempt_no, holds in found}
        own = [entry for entry in entries if entry.key in ended]
        changes = self._end(session, own, [ended[e.key] for e in own]) if own else []
        if len(own) < len(entries):
            changes += self._come_late(session, [entry for entry in entries if entry.key not in ended])
        budgets.charge(session, changes)
        return [entry.key in ended for entry in entries]

    @staticmethod
    def _end(session: Session, own: list[Settlement], holds: list[list[list[Any]]]) -> Changes:
        """Write what belongs to jobs that were ended; what changes in their windows."""
        statement = END_ATTEMPTS.format(source=ATTEMPTS.source)
        session.execute(statement, [ATTEMPTS.pack(_attempt_row(e, e.phase) for e in own)])
        ledger.record(session, [_ledger_row(e, budgets.held(h)) for e, h in zip(own, holds, strict=True)])
        outbox.record(session, [row for e in own if e.wanted for row in _told(e)])
        changes = [(h, e.sandbox, e.charge) for e, h in zip(own, holds, strict=True)]
        unknown = [
            Exposure(e.company_id, e.job_pk, e.attempt_no, e.sandbox, h)
            for e, (h, _, charge) in zip(own, changes, strict=True)
            if charge.exposes
        ]
        exposures.record(session, unknown, own[0].ended_at)
        return changes

    @staticmethod
    def _come_late(session: Session, late: list[Settlement]) -> Changes:
        """Write what came of attempts that were given up: their cost, once; their jobs are left alone."""
        statement = END_ATTEMPTS.format(source=ATTEMPTS.source) + THEIRS
        told = [_attempt_row(e, "late") for e in late if e.is_known]
        open_ones = {(pk, number) for pk, number in session.rows(statement, [ATTEMPTS.pack(told)])}
        heard = [entry for entry in late if entry.is_known and entry.key in open_ones]
        used = [entry for entry in heard if entry.usage is not None]
        if used:
            ledger.record(session, [_ledger_row(e, 0) | {"kind": "late"} for e in used])
        changes: Changes = []
        for entry in heard:
            outcome = "nothing" if entry.usage is None else "late"
            changes += exposures.end(session, *entry.key, outcome, entry.charge)
        return changes

    def recover(self, session: Session, entry: Settlement) -> bool | None:
        """True when this attempt's settlement stands in the ledger."""
        query = (
            "SELECT 1 FROM ai_usage_ledgerentry"
            " WHERE job_id = %s AND attempt_no = %s AND kind IN ('settle', 'void')"
        )
        return True if session.rows(query, [entry.job_pk, entry.attempt_no]) else None


SETTLE = Settle()


def _job_row(entry: Settlement) -> dict[str, Any]:
    return {
        "id": entry.job_pk,
        "attempt_no": entry.attempt_no,
        "status": entry.status,
        "response": entry.response,
        "error": orjson.dumps(entry.error) if entry.error else None,
        "progress": 100 if entry.status == "completed" else 0,
        "ended_at": entry.ended_at,
        "cancelled_at": entry.ended_at if entry.status == "cancelled" else None,
        "execution_time_ms": entry.execution_time_ms,
        "input_data": entry.input_data,
        "forget_at": entry.forget_at,
    }


def _told(entry: Settlement) -> list[dict[str, Any]]:
    used, cost = entry.usage, entry.cost
    job = {
        "id": entry.job_pk,
        "job_id": entry.job_ref,
        "status": entry.status,
        "brand_id": entry.brand_id,
        "provider": entry.provider,
        "model": entry.model,
        "sandbox": entry.sandbox,
        "execution_time_seconds": entry.execution_time_ms / 1000,
        "usage": telling.used(
            used.total_tokens,
            used.input + used.cache_read + used.cache_write,
            used.output + used.reasoning,
            cost.usd_nano if cost else None,
        )
        if used
        else None,
    }
    return telling.row(entry.company_id, entry.wanted, entry.ended_at, job, entry.error)


def _attempt_row(entry: Settlement, phase: str) -> dict[str, Any]:
    return {
        "job_id": entry.job_pk,
        "attempt_no": entry.attempt_no,
        "phase": phase,
        "source": entry.source,
        "provider_ref": (entry.provider_ref or "")[:120] or None,
        "error_code": entry.error["code"] if entry.error else None,
        "usage": orjson.dumps(entry.usage.as_dict()) if entry.usage and phase != "done" else None,
        "first_byte_ms": entry.first_byte_ms,
        "ended_at": entry.ended_at,
    }


def _ledger_row(entry: Settlement, held: int) -> dict[str, Any]:
    used, cost = entry.usage or Usage(), entry.cost
    free = 0 if entry.usage is None else None
    return {
        "company_id": entry.company_id,
        "brand_id": entry.brand_id,
        "job_id": entry.job_pk,
        "job_ref": entry.job_ref,
        "attempt_no": entry.attempt_no,
        "kind": "void" if entry.usage is None else "settle",
        "provider": entry.provider,
        "model": entry.model,
        "generation": entry.generation,
        "reasoning_effort": entry.reasoning_effort,
        "sandbox": entry.sandbox,
        "outcome": entry.status,
        "is_success": entry.status == "completed",
        "execution_time_ms": entry.execution_time_ms,
        "first_byte_ms": entry.first_byte_ms,
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
        "reserved_nano_usd": held,
        "created_at": entry.ended_at,
    }
