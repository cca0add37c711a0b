"""Cancelling: a pending job at once, a running one by a flag that its process sees.

The settlement decides the race: a job that completes first cannot be cancelled any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from ai_core.services import telling
from ai_usage.services import budgets, ledger
from ai_usage.services.budgets import Charge
from megahub.delivery.services import outbox
from megahub.kernel import clock, trail
from megahub.kernel.errors import JobCancelled
from megahub.kernel.session import Session

END_PENDING = (
    "UPDATE ai_core_aijob SET status = 'cancelled', error = %s, completed_at = %s, cancelled_at = %s,"
    " ring_at = NULL, revision = revision + 1 WHERE id = %s AND company_id = %s AND status = 'pending'"
    " RETURNING job_id, brand_id, provider, model, generation, sandbox, holds"
)
FLAG_RUNNING = (
    "UPDATE ai_core_aijob SET cancel_requested_at = COALESCE(cancel_requested_at, %s)"
    " WHERE id = %s AND company_id = %s AND status = 'running'"
)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Its owner's wish that a job should end."""

    job_pk: int
    company_id: int
    wanted: frozenset[str] = frozenset()
    entry: trail.Entry | None = None


class Cancel:
    """Journal writer: "ended" for a job that was pending, "flagged" for a running one, else ""."""

    lane = "settle"
    keep = False

    def write(self, session: Session, entries: list[Cancellation]) -> list[str]:
        released: list[tuple[list[list[Any]], bool, Charge]] = []
        outcomes = [self._cancel(session, entry, released) for entry in entries]
        budgets.charge(session, released)
        for entry, outcome in zip(entries, outcomes, strict=True):
            if outcome and entry.entry is not None:
                entry.entry.after = {"outcome": outcome}
                trail.record_in(session, entry.entry)
        return outcomes

    def recover(self, session: Session, entry: Cancellation) -> str | None:
        """ "ended" when the job is voided already."""
        query = "SELECT 1 FROM ai_usage_ledgerentry WHERE job_id = %s AND kind = 'void'"
        return "ended" if session.rows(query, [entry.job_pk]) else None

    def _cancel(
        self,
        session: Session,
        entry: Cancellation,
        released: list[tuple[list[list[Any]], bool, Charge]],
    ) -> str:
        moment = clock.now()
        now = session.time(moment)
        error = JobCancelled().as_data()
        stored = orjson.dumps(error).decode()
        rows = session.rows(END_PENDING, [stored, now, now, entry.job_pk, entry.company_id])
        if rows:
            *facts, sandbox, holds = rows[0]
            holds = orjson.loads(holds)
            held = budgets.held(holds)
            ledger.record(session, [self._void(entry, facts, bool(sandbox), held, moment)])
            if entry.wanted:
                told = _told(entry, facts, bool(sandbox))
                outbox.record(session, telling.row(entry.company_id, entry.wanted, moment, told, error))
            released.append((holds, bool(sandbox), Charge()))
            return "ended"
        flagged = session.count(FLAG_RUNNING, [now, entry.job_pk, entry.company_id])
        return "flagged" if flagged else ""

    @staticmethod
    def _void(
        entry: Cancellation, facts: list[Any], sandbox: bool, held: int, moment: Any
    ) -> dict[str, Any]:
        job_ref, brand_id, provider, model, generation = facts
        return {
            **ledger.VOID,
            "company_id": entry.company_id,
            "brand_id": brand_id,
            "job_id": entry.job_pk,
            "job_ref": job_ref,
            "provider": provider,
            "model": model,
            "generation": generation,
            "sandbox": sandbox,
            "outcome": "cancelled",
            "reserved_nano_usd": held,
            "created_at": moment,
        }


def _told(entry: Cancellation, facts: list[Any], sandbox: bool) -> dict[str, Any]:
    job_ref, brand_id, provider, model, _ = facts
    return {
        "id": entry.job_pk,
        "job_id": job_ref,
        "status": "cancelled",
        "brand_id": brand_id,
        "provider": provider,
        "model": model,
        "sandbox": sandbox,
        "execution_time_seconds": None,
        "usage": None,
    }


CANCEL = Cancel()
