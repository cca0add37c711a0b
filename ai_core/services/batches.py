"""A batch is accepted: its row, its jobs and what they hold, in one transaction or not at all."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from ai_core import pipeline
from ai_core.services import guarding
from ai_core.services.accept import JOBS, Acceptance, acceptance
from ai_core.services.job import Order
from ai_core.services.warnings import warnings_of
from ai_guard.domain import keeping
from ai_usage.services import budgets, limits
from megahub.kernel import clock, journal, queue, sql
from megahub.kernel.session import Session
from megahub.tenancy import idempotency
from megahub.tenancy.idempotency import Claim, Replay

BATCHES = sql.Rows(
    "r",
    {
        "batch_id": "text",
        "company_id": "int",
        "brand_id": "int",
        "created_by_id": "int",
        "analysis_type": "text",
        "model": "text",
        "description": "text",
        "sandbox": "bool",
        "total_jobs": "int",
        "estimated_nano_usd": "int",
        "estimated_tokens": "int",
        "created_at": "time",
    },
)
PLACES = sql.Rows("r", {"batch_ref": "text", "job_ref": "text", "position": "int"})
INSERT_PLACES = (
    "INSERT INTO ai_core_batchjob (batch_id, job_id, position) SELECT b.id, j.id, r.position"
    " FROM {source} JOIN ai_core_aijob j ON j.job_id = r.job_ref"
    " JOIN ai_core_aibatch b ON b.batch_id = r.batch_ref"
)


@dataclass(frozen=True, slots=True)
class BatchAcceptance:
    """A checked batch on its way: ``row`` holds the columns of ``BATCHES``."""

    row: dict[str, Any]
    entries: list[Acceptance]
    claim: Claim | None


async def submit(
    orders: list[Order], analysis_type: str, description: str, claim: Claim | None
) -> tuple[str, bool]:
    """Accept the orders (of one model and caller) as a batch: (its batch_id, whether replayed).

    Workers run them.

    Raises the HubError that one of them, or their sum, is refused with; then nothing was written.
    """
    drafts = [await pipeline.draft(order) for order in orders]
    for drafted in drafts:
        await guarding.check_input(drafted.job)
    first, own = drafts[0].job, await limits.of(drafts[0].job.company_id)
    first.warnings = await warnings_of(first.company_id, first.terms)
    entries = []
    for drafted in drafts:
        drafted.job.warnings, drafted.job.is_async = first.warnings, True
        drafted.job.created_at = first.created_at  # or midnight could part what is held as one
        entries.append(acceptance(drafted.job, drafted.kind.pk, drafted.estimate, own, None))
    row = {
        "batch_id": f"ai_batch_{secrets.token_hex(12)}",
        "company_id": first.company_id,
        "brand_id": first.brand_id,
        "created_by_id": first.order.caller.user_id,
        "analysis_type": analysis_type,
        "model": first.terms.spec.id,
        "description": keeping.kept_text(first.policy.keep, description),
        "sandbox": first.terms.is_sandbox,
        "total_jobs": len(drafts),
        "estimated_nano_usd": sum(drafted.estimate.usd_nano for drafted in drafts),
        "estimated_tokens": sum(drafted.estimate.tokens for drafted in drafts),
        "created_at": first.created_at,
    }
    numbers = await journal.write(ACCEPT_BATCH, BatchAcceptance(row, entries, claim))
    if isinstance(numbers, Replay):
        return numbers.job_ref, True
    for number in numbers:
        queue.ring("ai_core.run_job", number, queue=first.order.priority)
    return str(row["batch_id"]), False


class AcceptBatch:
    """Journal writer: the jobs' primary keys, or a Replay of the batch's idempotency key."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[BatchAcceptance]) -> list[Any]:
        return [self._accept(session, entry) for entry in entries]

    def recover(self, session: Session, entry: BatchAcceptance) -> list[int] | None:
        """The jobs' primary keys when the batch was accepted."""
        rows = session.rows(
            "SELECT p.job_id FROM ai_core_batchjob p JOIN ai_core_aibatch b ON b.id = p.batch_id"
            " WHERE b.batch_id = %s ORDER BY p.position",
            [entry.row["batch_id"]],
        )
        return [int(number) for (number,) in rows] or None

    @staticmethod
    def _accept(session: Session, entry: BatchAcceptance) -> Any:
        ref = entry.row["batch_id"]
        if entry.claim is not None:
            verdict = idempotency.claim(session, [(entry.claim, ref)]).get(0)
            if verdict is not None:
                return verdict
        (refusal,) = budgets.reserve(session, [_sum(entry.entries)], clock.now())
        if refusal is not None:
            raise refusal  # the whole transaction goes
        session.execute(sql.insert("ai_core_aibatch", BATCHES), [BATCHES.pack([entry.row])])
        statement = sql.insert("ai_core_aijob", JOBS, "RETURNING job_id, id")
        made = dict(session.rows(statement, [JOBS.pack(each.row for each in entry.entries)]))
        refs = [each.row["job_id"] for each in entry.entries]
        places = [{"batch_ref": ref, "job_ref": job, "position": n} for n, job in enumerate(refs)]
        session.execute(INSERT_PLACES.format(source=PLACES.source), [PLACES.pack(places)])
        return [made[job] for job in refs]


def _sum(entries: list[Acceptance]) -> budgets.Request:
    """What all of them ask of the budgets together: they are refused, and told why, as one."""
    first = entries[0].budget
    together = zip(*(entry.budget.holds for entry in entries), strict=True)
    holds = tuple(replace(same[0], amount=sum(hold.amount for hold in same)) for same in together)
    return replace(first, holds=holds)


ACCEPT_BATCH = AcceptBatch()
