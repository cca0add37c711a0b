"""A batch that is to begin no more lines: cancelled by its owner, or out of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ai_batch.domain import results
from ai_batch.services import holding
from ai_batch.services.settle import RESULTS
from megahub.kernel import sql
from megahub.kernel.session import Session

END_PENDING = (
    "UPDATE ai_batch_line SET status = %s, error_code = %s, cost_nano_usd = 0, ended_at = %s WHERE id IN"
    " (SELECT id FROM ai_batch_line WHERE batch_id = %s AND status = 'pending' ORDER BY line_no LIMIT %s)"
    " AND status = 'pending'"
    " RETURNING id, line_no, custom_id, estimated_nano_usd, estimated_tokens"
)
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Stop:
    """The next lines of a batch that will not be run; ``why`` is one of ``UNANSWERED``."""

    batch_pk: int
    sandbox: bool
    windows: list[list[Any]]
    why: str
    moment: datetime


class StopLines:
    """Journal writer: how many lines were ended; they are called by nobody and cost nothing."""

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[Stop]) -> list[int]:
        return [self._stop(session, entry) for entry in entries]

    def recover(self, session: Session, entry: Stop) -> None:
        """What was ended is not ended again."""

    @staticmethod
    def _stop(session: Session, entry: Stop) -> int:
        code = results.UNANSWERED[entry.why][0]
        moment = session.time(entry.moment)
        ended = entry.why if entry.why in ("expired", "cancelled") else "failed"
        rows = session.rows(END_PENDING, [ended, code, moment, entry.batch_pk, AT_ONCE])
        if not rows:
            return 0
        written = [
            {
                "batch_id": entry.batch_pk,
                "line_no": line_no,
                "is_error": True,
                "body": results.unanswered(pk, custom_id, entry.why),
            }
            for pk, line_no, custom_id, _, _ in rows
        ]
        session.execute(sql.insert("ai_batch_lineresult", RESULTS), [RESULTS.pack(written)])
        session.execute(
            "UPDATE ai_batch_batch SET failed = failed + %s WHERE id = %s", [len(rows), entry.batch_pk]
        )
        held = holding.stored(
            entry.windows, len(rows), sum(row[3] for row in rows), sum(row[4] for row in rows)
        )
        holding.let_go(session, held, entry.sandbox)
        return len(rows)


STOP_LINES = StopLines()
