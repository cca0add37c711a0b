"""Lines taken by a process to be run, and given back to be tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from ai_batch.models import Line
from megahub.kernel import clock, sql
from megahub.kernel.session import Session

#: PostgreSQL's workers step over each other's rows; SQLite has one writer at a time.
TAKE = (
    "UPDATE ai_batch_line SET status = 'running', attempt_no = attempt_no + 1, session_id = %s"
    " WHERE id IN (SELECT id FROM ai_batch_line WHERE batch_id = %s AND status = 'pending'"
    " AND line_no > %s AND (run_at IS NULL OR run_at <= %s) ORDER BY line_no LIMIT %s{skip})"
    " AND EXISTS (SELECT 1 FROM ai_batch_batch WHERE id = %s AND status = 'in_progress' AND stop = '')"
    ' RETURNING id, line_no, custom_id, "offset", length, attempt_no, tries, unknown,'
    " estimated_nano_usd, estimated_tokens"
)
GIVE_BACK = sql.Rows(
    "r", {"id": "int", "attempt_no": "int", "run_at": "time", "tries": "int", "unknown": "int"}
)
RETURN = (
    "UPDATE ai_batch_line SET status = 'pending', run_at = r.run_at, session_id = NULL,"
    " tries = ai_batch_line.tries + r.tries, unknown = ai_batch_line.unknown + r.unknown"
    " FROM {source} WHERE ai_batch_line.id = r.id AND ai_batch_line.status = 'running'"
    " AND ai_batch_line.attempt_no = r.attempt_no RETURNING ai_batch_line.id"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A line that is this process's to run."""

    pk: int
    line_no: int
    custom_id: str
    offset: int
    length: int
    attempt_no: int
    tries: int
    unknown: int
    nano_usd: int
    tokens: int


def take_these(batch_pk: int, numbers: list[int], session_id: int) -> list[Taken]:
    """The lines of these numbers that wait to be run, now this process's."""
    lines = Line.objects.filter(batch_id=batch_pk, line_no__in=numbers)
    lines.filter(status="pending").update(
        status="running", attempt_no=F("attempt_no") + 1, session_id=session_id
    )
    own = lines.filter(status="running", session_id=session_id).order_by("line_no")
    return [
        Taken(
            line.pk,
            line.line_no,
            line.custom_id,
            line.offset,
            line.length,
            line.attempt_no,
            line.tries,
            line.unknown,
            line.estimated_nano_usd,
            line.estimated_tokens,
        )
        for line in own
    ]


@dataclass(frozen=True, slots=True)
class Take:
    """A claim of the next lines of a batch, behind line ``after``."""

    batch_pk: int
    session_id: int
    after: int
    most: int


class TakeLines:
    """Journal writer: the lines that were taken, in their order."""

    lane = "accept"
    keep = False

    def write(self, session: Session, entries: list[Take]) -> list[list[Taken]]:
        return [self._take(session, entry) for entry in entries]

    def recover(self, session: Session, entry: Take) -> None:
        """A claim in doubt is made again; lines of one that was made come back when its process ends."""

    @staticmethod
    def _take(session: Session, entry: Take) -> list[Taken]:
        skip = " FOR UPDATE SKIP LOCKED" if session.for_update else ""
        now = session.time(clock.now())
        params = [entry.session_id, entry.batch_pk, entry.after, now, entry.most, entry.batch_pk]
        rows = session.rows(TAKE.format(skip=skip), params)
        return sorted((Taken(*row) for row in rows), key=lambda line: line.line_no)


@dataclass(frozen=True, slots=True)
class Back:
    """A line to be run again from ``run_at`` on; what it holds stays."""

    pk: int
    attempt_no: int
    run_at: datetime | None
    tries: int = 1
    unknown: int = 0


class GiveBackLines:
    """Journal writer: True when the line was still this attempt's."""

    lane = "settle"
    keep = True

    def write(self, session: Session, entries: list[Back]) -> list[bool]:
        rows = [
            {
                "id": entry.pk,
                "attempt_no": entry.attempt_no,
                "run_at": entry.run_at,
                "tries": entry.tries,
                "unknown": entry.unknown,
            }
            for entry in entries
        ]
        found: list[tuple[Any, ...]] = session.rows(
            RETURN.format(source=GIVE_BACK.source), [GIVE_BACK.pack(rows)]
        )
        given = {pk for (pk,) in found}
        return [entry.pk in given for entry in entries]

    def recover(self, session: Session, entry: Back) -> None:
        """Given back twice is given back once."""


TAKE_LINES = TakeLines()
GIVE_BACK_LINES = GiveBackLines()
