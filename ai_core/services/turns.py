"""Whose turn it is: a bell says that there is work, and the claim decides which job is next.

Companies take turns, one job each, whatever they have waiting; among a company's own jobs the one that
is most urgent goes first, and one that has waited long counts as more urgent (``domain/turns.py``). A
bell that finds its own job still waiting has a turn to give; it is given until that job is taken.
"""

from __future__ import annotations

from datetime import datetime

from ai_core.domain.turns import HANDICAP_SECONDS
from ai_core.services.claim import IDS, Claimed, Take, take
from megahub.kernel import clock
from megahub.kernel.session import Session
from megahub.kernel.sql import on_postgres

#: A job that another process took a moment ago is looked past so many times.
LOOKS = 3
WAITING = "i.ring_at IS NOT NULL AND i.status = 'pending' AND i.run_at <= %s"
STILL = (
    "SELECT i.id FROM ai_core_aijob i WHERE i.id IN (SELECT r.id FROM {source})"
    " AND i.status = 'pending' AND i.run_at <= %s"
)
#: The companies with waiting jobs, one look into the index each; then the first of each of their queues.
COMPANIES = (
    "WITH RECURSIVE c(id) AS (SELECT MIN(company_id) FROM ai_core_aijob WHERE ring_at IS NOT NULL"
    " UNION ALL SELECT (SELECT MIN(n.company_id) FROM ai_core_aijob n WHERE n.ring_at IS NOT NULL"
    " AND n.company_id > c.id) FROM c WHERE c.id IS NOT NULL)"
)
FIRST = (
    "SELECT i.id, i.run_at FROM ai_core_aijob i WHERE i.company_id = c.id AND i.priority = p.name"
    f" AND {WAITING} AND i.cancel_requested_at IS NULL AND i.deleted_at IS NULL"
    " ORDER BY i.run_at, i.id LIMIT %s"
)
QUEUES = ", ".join(f"('{name}', {seconds})" for name, seconds in HANDICAP_SECONDS.items())
RANKED = (
    "SELECT t.id, t.company_id FROM (SELECT d.id, d.company_id, ROW_NUMBER() OVER"
    " (PARTITION BY d.company_id ORDER BY d.place, d.id) AS turn FROM d) t"
    " ORDER BY t.turn, t.company_id <= %s, t.company_id LIMIT %s"
)


def _next_statement() -> str:
    """PostgreSQL looks into the index by a lateral join, SQLite by a correlated list of numbers."""
    queues = f"(VALUES {QUEUES})"
    if on_postgres():
        place = "EXTRACT(EPOCH FROM j.run_at) + p.handicap"
        found = f"{queues} AS p(name, handicap) CROSS JOIN LATERAL ({FIRST}) j"
    else:
        place = "julianday(j.run_at) * 86400.0 + p.handicap"
        first = FIRST.replace("SELECT i.id, i.run_at", "SELECT i.id")
        queues = f"(SELECT column1 AS name, column2 AS handicap FROM {queues})"
        found = f"{queues} p CROSS JOIN ai_core_aijob j ON j.id IN ({first})"
    due = f"SELECT j.id, c.id AS company_id, {place} AS place FROM c CROSS JOIN {found}"
    return f"{COMPANIES}, d AS ({due} WHERE c.id IS NOT NULL) {RANKED}"


class Turn:
    """Journal writer: for each bell the job that is next, or None when the bell's own waits no more.

    ``after`` is the company that was served last: the one behind it comes first.
    """

    lane = "accept"
    keep = False

    def __init__(self) -> None:
        self.after = 0

    def write(self, session: Session, entries: list[Take]) -> list[Claimed | None]:
        moment = clock.now()
        ids = IDS.pack({"id": pk} for pk in {entry.job_pk for entry in entries})
        still = {pk for (pk,) in session.rows(STILL.format(source=IDS.source), [ids, session.time(moment)])}
        wanted = len({entry.job_pk for entry in entries} & still)
        claimed: list[Claimed] = []
        for _ in range(LOOKS):
            missing = wanted - len(claimed)
            picked = self._next(session, missing, moment) if missing else []
            if not picked:
                break
            claimed += take(session, picked, entries[0], moment)
        return _given(entries, still, claimed)

    def recover(self, session: Session, entry: Take) -> None:
        """A turn in doubt is asked for again; a claim that was made is the reaper's to find."""

    def _next(self, session: Session, count: int, moment: datetime) -> list[int]:
        now = session.time(moment)
        rows = session.rows(_next_statement(), [now, count, self.after, count])
        if rows:
            self.after = rows[-1][1]
        return [pk for pk, _ in rows]


def _given(entries: list[Take], still: set[int], claimed: list[Claimed]) -> list[Claimed | None]:
    """Each claimed job to one bell, to its own where it rang."""
    left = {job.pk: job for job in claimed}
    given = [left.pop(entry.job_pk, None) if entry.job_pk in still else None for entry in entries]
    rest = iter(left.values())
    seen: set[int] = set()
    for position, entry in enumerate(entries):
        if given[position] is None and entry.job_pk in still and entry.job_pk not in seen:
            given[position] = next(rest, None)
        seen.add(entry.job_pk)
    return given


TURN = Turn()
