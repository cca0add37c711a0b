"""T2: a process takes a pending job, goes on to its next attempt, or gives it back for later.

Every provider call has an attempt row that was committed before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ai_core.domain.kinds import JOB_KEYS, KINDS, body_of
from ai_core.services.accept import ATTEMPTS, INSERT_ATTEMPTS
from ai_core.services.job import Order
from ai_providers.domain.wire import Endpoint
from ai_usage.services import exposures
from ai_usage.services.exposures import Exposure
from megahub.kernel import clock, sql
from megahub.kernel.session import Session
from megahub.tenancy.selectors import Caller

IDS = sql.Rows("r", {"id": "int"})
TAKE = (
    "UPDATE ai_core_aijob SET status = 'running', attempt_no = attempt_no + 1,"
    " ring_at = NULL, started_at = COALESCE(started_at, %s), deadline_at = %s, revision = revision + 1"
    " WHERE id IN (SELECT r.id FROM {source}) AND status = 'pending' AND run_at <= %s"
    " AND cancel_requested_at IS NULL AND deleted_at IS NULL"
    " RETURNING id, job_id, company_id, brand_id, created_by_id, api_key_id, endpoint, model,"
    " provider, generation, sandbox, with_defaults, input_data, attempt_no, max_attempts, unknown_attempts,"
    " keep, created_at"
)
NEXT = (
    "UPDATE ai_core_aijob SET attempt_no = attempt_no + 1, unknown_attempts = unknown_attempts + %s,"
    " revision = revision + 1 WHERE id = %s AND status = 'running' AND attempt_no = %s"
    " RETURNING company_id, sandbox, holds"
)
GIVE_BACK = (
    "UPDATE ai_core_aijob SET status = 'pending', run_at = %s, ring_at = %s,"
    " deadline_at = NULL, progress_percentage = 0, unknown_attempts = unknown_attempts + %s,"
    " max_attempts = max_attempts + %s,"
    " revision = revision + 1 WHERE id = %s AND status = 'running' AND attempt_no = %s"
    " AND cancel_requested_at IS NULL RETURNING company_id, sandbox, holds"
)
END_ATTEMPT = (
    "UPDATE ai_core_attempt SET phase = %s, error_code = %s, ended_at = %s"
    " WHERE job_id = %s AND attempt_no = %s AND phase = 'calling'"
)
INSERT_ATTEMPT = (
    "INSERT INTO ai_core_attempt (job_id, attempt_no, session_id, provider, source, phase, started_at)"
    " VALUES (%s, %s, %s, %s, %s, 'calling', %s)"
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pending job that is now this process's own."""

    pk: int
    job_ref: str
    company_id: int
    brand_id: int
    user_id: int
    api_key_id: int | None
    endpoint: Endpoint
    model: str
    provider: str
    generation: str
    sandbox: bool
    with_defaults: bool
    input_data: dict[str, Any]
    attempt_no: int
    max_attempts: int
    unknown_attempts: int
    keep: str | None = None
    created_at: datetime | str = ""

    @property
    def accepted_ms(self) -> int:
        """When it was accepted; 0 where nobody has told."""
        told = self.created_at
        if isinstance(told, str):
            told = datetime.fromisoformat(told or "1970-01-01").replace(tzinfo=UTC)
        return int(told.timestamp() * 1000)

    @property
    def reasoning_effort(self) -> str | None:
        """The effort that was asked for by name."""
        effort = self.input_data.get("reasoning_effort")
        return effort if isinstance(effort, str) else None

    def as_order(self) -> Order:
        """What was asked for, as far as running it needs. Raises what its input is refused with."""
        kind = next(kind for kind in KINDS.values() if kind.endpoint == self.endpoint)
        _, body = body_of(kind, self.input_data, self.model, without=JOB_KEYS)
        return Order(
            caller=Caller.of_job(self.company_id, self.brand_id, self.user_id, self.api_key_id),
            job_type=kind.name,
            endpoint=self.endpoint,
            model=self.model,
            body=body,
            input_json=orjson.dumps(self.input_data) if self.keep else b"",
            with_defaults=self.with_defaults,
            later=True,
        )


@dataclass(frozen=True, slots=True)
class Take:
    """A claim: which job, for which process, for how long at most."""

    job_pk: int
    session_id: int
    deadline_seconds: float


class Claim:
    """Journal writer: the Claimed job, or None when it is not to be had (another has it)."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[Take]) -> list[Claimed | None]:
        ids = {entry.job_pk for entry in entries}
        claimed = {job.pk: job for job in take(session, ids, entries[0], clock.now())}
        # A bell that rang twice asks twice: the second one finds nothing left.
        return [claimed.pop(entry.job_pk, None) for entry in entries]

    def recover(self, session: Session, entry: Take) -> None:
        """A claim in doubt is asked for again; one that was made is the reaper's to find."""


def take(session: Session, pks: Iterable[int], by: Take, moment: datetime) -> list[Claimed]:
    """Claim those of these jobs that are to be had, for ``by``'s process and as long as it says."""
    now = session.time(moment)
    deadline = session.time(moment + timedelta(seconds=by.deadline_seconds))
    ids = IDS.pack({"id": pk} for pk in pks)
    rows = session.rows(TAKE.format(source=IDS.source), [now, deadline, ids, now])
    claimed = [_claimed(row) for row in rows]
    if claimed:
        attempts = [
            {
                "job_ref": job.job_ref,
                "attempt_no": job.attempt_no,
                "session_id": by.session_id,
                "provider": job.provider,
                "source": "",
                "phase": "calling",
                "started_at": moment,
            }
            for job in claimed
        ]
        session.execute(INSERT_ATTEMPTS.format(source=ATTEMPTS.source), [ATTEMPTS.pack(attempts)])
    return claimed


def _claimed(row: tuple[Any, ...]) -> Claimed:
    values = list(row)
    values[10], values[11] = bool(values[10]), bool(values[11])
    values[12] = orjson.loads(values[12])
    return Claimed(*values)


@dataclass(frozen=True, slots=True)
class Move:
    """From a failed attempt to the next access at once."""

    job_pk: int
    attempt_no: int
    session_id: int
    provider: str
    source: str
    phase: str
    error_code: str


class NextAttempt:
    """Journal writer: True when the job was still this attempt's, and the next one is written."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[Move]) -> list[bool]:
        moment = clock.now()
        unknown: list[Exposure] = []
        moved = [self._move(session, entry, moment, unknown) for entry in entries]
        exposures.hold(session, unknown, moment)
        return moved

    def recover(self, session: Session, entry: Move) -> bool | None:
        """True when the next attempt is there, and this process's."""
        query = "SELECT 1 FROM ai_core_attempt WHERE job_id = %s AND attempt_no = %s AND session_id = %s"
        return True if session.rows(query, [entry.job_pk, entry.attempt_no + 1, entry.session_id]) else None

    @staticmethod
    def _move(session: Session, entry: Move, moment: datetime, unknown: list[Exposure]) -> bool:
        rows = session.rows(NEXT, [int(entry.phase == "unknown"), entry.job_pk, entry.attempt_no])
        if not rows:
            return False
        unknown += _exposed(entry, rows[0])
        now = session.time(moment)
        ended = [entry.phase, entry.error_code, now, entry.job_pk, entry.attempt_no]
        session.execute(END_ATTEMPT, ended)
        number = entry.attempt_no + 1
        session.execute(
            INSERT_ATTEMPT,
            [entry.job_pk, number, entry.session_id, entry.provider, entry.source, now],
        )
        return True


@dataclass(frozen=True, slots=True)
class Return:
    """Give a running job back, to be run again from ``run_at`` on; its reservation stays.

    ``excused``: the attempt does not count, since its provider was failing everybody.
    """

    job_pk: int
    attempt_no: int
    run_at: datetime
    phase: str
    error_code: str
    excused: bool = False


class GiveBack:
    """Journal writer: True when the job was still this attempt's, and nobody has cancelled it.

    One that somebody wants to be cancelled must end: nobody would claim it again.
    """

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[Return]) -> list[bool]:
        moment = clock.now()
        unknown: list[Exposure] = []
        given = [self._give_back(session, entry, moment, unknown) for entry in entries]
        exposures.hold(session, unknown, moment)
        return given

    def recover(self, session: Session, entry: Return) -> None:
        """Given back twice is given back once: the second time finds it pending."""

    @staticmethod
    def _give_back(session: Session, entry: Return, moment: datetime, unknown: list[Exposure]) -> bool:
        later = session.time(entry.run_at)
        unknown_too, more = int(entry.phase == "unknown"), int(entry.excused)
        params = [later, later, unknown_too, more, entry.job_pk, entry.attempt_no]
        rows = session.rows(GIVE_BACK, params)
        if not rows:
            return False
        unknown += _exposed(entry, rows[0])
        now = session.time(moment)
        session.execute(END_ATTEMPT, [entry.phase, entry.error_code, now, entry.job_pk, entry.attempt_no])
        return True


def _exposed(entry: Move | Return, row: tuple[Any, ...]) -> list[Exposure]:
    """What an attempt of unknown outcome may still cost, beside what the job holds for its next one."""
    if entry.phase != "unknown":
        return []
    company_id, sandbox, holds = row
    return [Exposure(company_id, entry.job_pk, entry.attempt_no, bool(sandbox), orjson.loads(holds))]


CLAIM = Claim()
NEXT_ATTEMPT = NextAttempt()
GIVE_BACK_JOB = GiveBack()
