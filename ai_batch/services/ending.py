"""How a batch fails, or is stopped: in one transaction with what it held."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from ai_batch.services import holding, telling
from megahub.delivery.services import outbox
from megahub.kernel import clock
from megahub.kernel.session import Session

FAIL = (
    "UPDATE ai_batch_batch SET status = %s, failed_at = %s, cancelled_at = %s, errors = %s,"
    " error_count = %s, mail_due = notify,"
    " lease_until = NULL, ring_at = NULL, total = 0, estimated_nano_usd = 0, estimated_tokens = 0,"
    " checkpoint_line = 0, checkpoint_byte = 0"
    " WHERE id = %s AND status IN ('validating', 'cancelling') AND in_progress_at IS NULL"
    " RETURNING sandbox, windows, reserved_slices, company_id"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A batch that never began: why (``errors``), or cancelled before it could."""

    batch_pk: int
    batch_ref: str
    status: str
    moment: datetime
    errors: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    wanted: frozenset[str] = frozenset()


class Fail:
    """Journal writer: True when the batch has failed now; its lines are gone, and what they held."""

    lane = "batch"
    keep = True

    def write(self, session: Session, entries: list[Failure]) -> list[bool]:
        return [self._fail(session, entry) for entry in entries]

    def recover(self, session: Session, entry: Failure) -> bool | None:
        """True when it has that status."""
        rows = session.rows("SELECT status FROM ai_batch_batch WHERE id = %s", [entry.batch_pk])
        return True if rows and rows[0][0] == entry.status else None

    @staticmethod
    def _fail(session: Session, entry: Failure) -> bool:
        moment = session.time(entry.moment)
        failed, cancelled = (moment, None) if entry.status == "failed" else (None, moment)
        told = orjson.dumps(entry.errors).decode()
        params = [entry.status, failed, cancelled, told, entry.count, entry.batch_pk]
        rows = session.rows(FAIL, params)
        if not rows:
            return False
        sandbox, windows, slices, company_id = rows[0]
        windows = orjson.loads(windows)
        lines, nano_usd, tokens = session.rows(holding.HELD, [entry.batch_pk, slices])[0]
        held = holding.stored(windows, int(lines), int(nano_usd), int(tokens))
        session.execute("DELETE FROM ai_batch_line WHERE batch_id = %s", [entry.batch_pk])
        outbox.record(
            session, telling.failed(company_id, entry.wanted, entry.batch_ref, entry.status, entry.errors)
        )
        holding.let_go(session, held, bool(sandbox))
        return True


def failure(
    batch: Any, errors: list[dict[str, Any]], count: int, wanted: frozenset[str], status: str = "failed"
) -> Failure:
    """A failure of a batch, now."""
    return Failure(batch.pk, batch.batch_id, status, clock.now(), errors, count, wanted)


FAIL_BATCH = Fail()
