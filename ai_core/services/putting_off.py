"""A claimed job that was not called after all is put off: as if it had never been claimed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from megahub.kernel.session import Session

PUT_OFF = (
    "UPDATE ai_core_aijob SET status = 'pending', attempt_no = attempt_no - 1, run_at = %s, ring_at = %s,"
    " started_at = CASE WHEN attempt_no = 1 THEN NULL ELSE started_at END, deadline_at = NULL,"
    " revision = revision + 1"
    " WHERE id = %s AND status = 'running' AND attempt_no = %s AND cancel_requested_at IS NULL"
)
UNDO_ATTEMPT = "DELETE FROM ai_core_attempt WHERE job_id = %s AND attempt_no = %s AND phase = 'calling'"


@dataclass(frozen=True, slots=True)
class Postponement:
    """A job whose present attempt was never sent, and when to try again."""

    job_pk: int
    attempt_no: int
    run_at: datetime


class PutOff:
    """Journal writer: True when the job was still this attempt's and nobody has cancelled it.

    The attempt's number is free again: only its own process could have called under it, and did not.
    """

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[Postponement]) -> list[bool]:
        return [self._put_off(session, entry) for entry in entries]

    def recover(self, session: Session, entry: Postponement) -> None:
        """Put off twice is put off once: the second time finds it pending."""

    @staticmethod
    def _put_off(session: Session, entry: Postponement) -> bool:
        later = session.time(entry.run_at)
        if session.count(PUT_OFF, [later, later, entry.job_pk, entry.attempt_no]) != 1:
            return False
        session.execute(UNDO_ATTEMPT, [entry.job_pk, entry.attempt_no])
        return True


PUT_JOB_OFF = PutOff()
