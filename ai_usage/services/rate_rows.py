"""The buckets in rows: where there is no Redis, and while it does not answer.

One transaction of the journal for all who ask at once. The rows are locked in everybody's order before
they are read, so that no two processes let in on the same room.
"""

from __future__ import annotations

from ai_usage.domain import rates
from ai_usage.domain.rates import Owed, Standing
from ai_usage.services import rate_script
from ai_usage.services.rate_script import Answer, Ask
from megahub.kernel import clock
from megahub.kernel.session import Session

TABLE = "ai_usage_ratebucket"
READ = f"SELECT owed, at_ms, empty_ms FROM {TABLE} WHERE rate_limit_id = %s AND unit = %s"
ENSURE = (
    f"INSERT INTO {TABLE} (rate_limit_id, unit, owed, at_ms, empty_ms)"
    " SELECT id, %s, 0, %s, %s FROM ai_usage_ratelimit WHERE id = %s ON CONFLICT DO NOTHING"
)
WRITE = f"UPDATE {TABLE} SET owed = %s, at_ms = %s, empty_ms = %s WHERE rate_limit_id = %s AND unit = %s"
Bucket = tuple[int, rates.Unit]


class TakeRates:
    """Journal writer: the Answer to each Ask."""

    lane = "rates"
    keep = False

    def write(self, session: Session, entries: list[Ask]) -> list[Answer]:
        now_ms = rate_script.FROZEN_MS or int(clock.now().timestamp() * 1000)
        wanted = sorted({want.bucket for entry in entries for want in entry.wants})
        owed = self._locked(session, wanted, now_ms)
        before = dict(owed)
        answers = [answered(owed, entry, now_ms) for entry in entries]
        for bucket in wanted:
            if owed[bucket] != before[bucket]:
                new = owed[bucket]
                session.execute(WRITE, [new.amount, new.at_ms, new.empty_ms, *bucket])
        return answers

    def recover(self, session: Session, entry: Ask) -> None:
        """It is asked again: a request that counts twice harms nobody but itself."""

    @staticmethod
    def _locked(session: Session, wanted: list[Bucket], now_ms: int) -> dict[Bucket, Owed]:
        """The buckets' rows, locked; those that are not there yet are made."""
        read = READ + session.for_update
        found = {bucket: session.rows(read, list(bucket)) for bucket in wanted}
        for bucket, rows in found.items():
            if not rows:
                session.execute(ENSURE, [bucket[1], now_ms, now_ms, bucket[0]])
                found[bucket] = session.rows(read, list(bucket))
        # A limit that was deleted a moment ago has no bucket any more.
        return {
            bucket: Owed(*map(int, rows[0])) if rows else Owed(0, now_ms, now_ms)
            for bucket, rows in found.items()
        }


TAKE_RATES = TakeRates()


def answered(owed: dict[Bucket, Owed], ask: Ask, now_ms: int) -> Answer:
    """Let in all that an Ask wants, or nothing of it; ``owed`` is changed."""
    present = {want.bucket: rates.emptied(owed[want.bucket], want.limit, now_ms) for want in ask.wants}
    if ask.since_ms:
        present = {w.bucket: rates.corrected(present[w.bucket], w.amount, ask.since_ms) for w in ask.wants}
        is_in = True
    else:
        is_in = all(rates.has_room(present[want.bucket], want) for want in ask.wants)
        if is_in:
            present = {want.bucket: rates.added(present[want.bucket], want.amount) for want in ask.wants}
    if is_in:
        owed.update(present)
    standings = tuple(Standing(want, present[want.bucket].amount) for want in ask.wants)
    return Answer(is_in, now_ms, standings)
