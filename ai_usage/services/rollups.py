"""Folding the ledger into a row per day and kind of usage, rebuilding the rows, checking them.

What an entry adds to its day is said once, by the views of migration 0007; folding groups it, readers
add the entries that are past the cursor. An entry may be folded when nothing below it can appear any
more: what was there a while ago, once every transaction that was open then has ended. Jobs are counted
along the way (``job_rollups``).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from ai_usage.models import AIUsageAlert, JobRemoval, LedgerEntry, RatingChange, RollupCursor
from ai_usage.services import alerts, job_rollups
from ai_usage.services.alerts import Alert
from ai_usage.services.job_rollups import Difference
from megahub.kernel import clock, sql
from megahub.kernel.sql import transaction_number
from megahub.kernel.text import Text

log = logging.getLogger(__name__)

#: An entry's number is drawn a moment before its transaction can be seen to be open.
LAG = timedelta(seconds=5)
#: Entries folded in one transaction.
STEP = 20_000
#: An alert names so many models.
NAMED = 5
ROLLUPS = "ai_usage_usagerollup"
DIMENSIONS = (
    "company_id",
    "day",
    "sandbox",
    "brand_id",
    "provider",
    "model",
    "generation",
    "reasoning_effort",
)
SUMS = (
    "jobs",
    "succeeded",
    "failed",
    "timeouts",
    "cancelled",
    "unpriced",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nano_usd",
    "cost_input_nano_usd",
    "execution_ms",
    "timed_jobs",
    "ratings_tenths",
    "ratings",
)
LEDGER, RATINGS = "ai_usage_countedentry", "ai_usage_ratedentry"
CLOSINGS, REMOVALS = job_rollups.CLOSINGS, job_rollups.REMOVALS
#: What is folded: view, where the cursor stands in it, and how far it was seen.
STREAMS = (
    (LEDGER, "ledger_id", "seen_ledger_id"),
    (RATINGS, "rating_id", "seen_rating_id"),
    (CLOSINGS, "job_entry_id", "seen_ledger_id"),
    (REMOVALS, "removal_id", "seen_removal_id"),
)
SEEN = {
    LedgerEntry: "seen_ledger_id",
    RatingChange: "seen_rating_id",
    JobRemoval: "seen_removal_id",
}


def fold(lag: timedelta = LAG, at_once: int = STEP) -> int:
    """Fold what is safe to fold; how far the cursor went.

    ``at_once`` of them in a transaction.
    """
    passed = 0
    while True:
        with transaction.atomic():
            cursor = _locked()
            if cursor is None:
                return passed
            step = _fold_step(cursor, lag, at_once)
            if not step:
                _look(cursor)
                step = _fold_step(cursor, lag, at_once)
        if not step:
            return passed
        passed += step


def rebuild(company_id: int | None = None) -> int:
    """Make the rollups anew from the ledger, in one transaction; how many rows there are then."""
    whose, of = (" AND company_id = %s", [company_id]) if company_id is not None else ("", [])
    made = 0
    with transaction.atomic(), connection.cursor() as database:
        cursor = RollupCursor.objects.select_for_update().get()
        job_rollups.complete_removals()
        for table in (ROLLUPS, job_rollups.ROLLUPS):
            database.execute(f"DELETE FROM {table} WHERE true{whose}", of)
        for view, position, _ in STREAMS:
            last = getattr(cursor, position)
            database.execute(_fold_statement(view, f"entry_id <= %s{whose}"), [last, *of])
        for table in (ROLLUPS, job_rollups.ROLLUPS):
            database.execute(f"SELECT count(*) FROM {table} WHERE true{whose}", of)
            made += int(database.fetchone()[0])
    return made


def check(*, by_day: bool = False) -> list[Difference]:
    """Where rollups and ledger (or jobs) differ; ``by_day`` also when only the day does.

    (A company's day is that of its time zone at folding: after a change of zone, old rollups differ by
    day until they are rebuilt.)
    """
    keys = [name for name in DIMENSIONS if by_day or name != "day"]
    names, sums = ", ".join(keys), ", ".join(f"SUM({name})" for name in SUMS)
    true = ", ".join(f"-{name} AS {name}" for name in SUMS)
    statement = (
        f"SELECT {names}, {sums} FROM (SELECT {names}, {', '.join(SUMS)} FROM {ROLLUPS}"
        f" UNION ALL SELECT {names}, {true} FROM {LEDGER} WHERE entry_id <= (SELECT max(ledger_id) FROM"
        f" ai_usage_rollupcursor) UNION ALL SELECT {names}, {true} FROM {RATINGS} WHERE entry_id <="
        f" (SELECT max(rating_id) FROM ai_usage_rollupcursor)) f GROUP BY {names}"
        f" HAVING {' OR '.join(f'SUM({name}) <> 0' for name in SUMS)} ORDER BY {names}"
    )
    with connection.cursor() as database:
        database.execute(statement)
        found = [_difference(keys, row) for row in database.fetchall()]
    return found + job_rollups.check(by_day=by_day)


def _difference(keys: list[str], row: tuple[Any, ...]) -> Difference:
    found = dict(zip(keys, row, strict=False))
    off = {name: int(n) for name, n in zip(SUMS, row[len(keys) :], strict=True) if n}
    day = str(found["day"]) if "day" in found else None
    where = (found["company_id"], day, bool(found["sandbox"]), found["provider"], found["model"])
    return Difference(*where, off)


def _locked() -> RollupCursor | None:
    """The cursor, for this transaction alone; None while another one has it."""
    return RollupCursor.objects.select_for_update(skip_locked=sql.on_postgres()).first()


def _look(cursor: RollupCursor) -> None:
    """Remember what is there now, unless what was seen before still waits.

    What was seen by the server whose backup this is waits for a transaction that may never come.
    """
    waits = any(getattr(cursor, seen) > getattr(cursor, position) for _, position, seen in STREAMS)
    if not waits or cursor.seen_xid > transaction_number("xmax"):
        for model, seen in SEEN.items():
            last = model.objects.unscoped().aggregate(last=Max("pk"))["last"] or 0
            setattr(cursor, seen, max(getattr(cursor, seen), last))
        cursor.seen_xid = transaction_number("xmax")
        cursor.seen_at = clock.now()
        cursor.save()


def _fold_step(cursor: RollupCursor, lag: timedelta, at_once: int) -> int:
    """Fold one step of what was seen, if it is safe by now; how far the cursor went."""
    if cursor.seen_at + lag > clock.now() or transaction_number("xmin") < cursor.seen_xid:
        return 0
    steps = 0
    with connection.cursor() as database:
        for view, position, seen in STREAMS:
            stands = getattr(cursor, position)
            last = min(getattr(cursor, seen), stands + at_once)
            if last > stands:
                between = "entry_id > %s AND entry_id <= %s"
                database.execute(_fold_statement(view, between), [stands, last])
                setattr(cursor, position, last)
                steps += last - stands
    if steps:
        cursor.save(update_fields=[position for _, position, _ in STREAMS])
    return steps


def _fold_statement(view: str, condition: str) -> str:
    """Add the view's rows to their rollups; histograms by bucket first, then everything by day."""
    if view in (CLOSINGS, REMOVALS):
        return job_rollups.fold_statement(view, condition)
    keys = ", ".join(DIMENSIONS)
    adds = ", ".join(f"{name} = {ROLLUPS}.{name} + excluded.{name}" for name in SUMS)
    by_bucket = (
        f"SELECT {keys}, bucket, COUNT(*) AS number, {', '.join(f'SUM({n}) AS {n}' for n in SUMS)}"
        f" FROM {view} WHERE {condition} GROUP BY {keys}, bucket"
    )
    gather, merge = (_POSTGRES if sql.on_postgres() else _SQLITE).values()
    return (
        f"INSERT INTO {ROLLUPS} ({keys}, {', '.join(SUMS)}, histogram)"
        f" SELECT {keys}, {', '.join(f'SUM({n})' for n in SUMS)}, {gather}"
        f" FROM ({by_bucket}) b WHERE true GROUP BY {keys}"
        f" ON CONFLICT ({keys}) DO UPDATE SET {adds}, histogram = {merge}"
    )


_POSTGRES = {
    "gather": "COALESCE(jsonb_object_agg(bucket::text, number) FILTER (WHERE bucket IS NOT NULL), '{}')",
    "merge": (
        "(SELECT COALESCE(jsonb_object_agg(key, number), '{}') FROM (SELECT key,"
        " SUM(value::bigint) AS number FROM (SELECT key, value FROM"
        f" jsonb_each_text({ROLLUPS}.histogram) UNION ALL SELECT key, value FROM"
        " jsonb_each_text(excluded.histogram)) each_bucket GROUP BY key) added)"
    ),
}
_SQLITE = {
    "gather": "json_group_object(CAST(bucket AS text), number) FILTER (WHERE bucket IS NOT NULL)",
    "merge": (
        "(SELECT json_group_object(key, number) FROM (SELECT key, SUM(value) AS number FROM"
        f" (SELECT key, value FROM json_each({ROLLUPS}.histogram) UNION ALL SELECT key, value FROM"
        " json_each(excluded.histogram)) GROUP BY key))"
    ),
}


def tell(found: list[Difference]) -> None:
    """Log what is off and raise an alert of each company; resolve those of companies in order again."""
    for difference in found:
        log.error("a rollup differs from the ledger: %s", difference)
    broken = {difference.company_id for difference in found}
    kind, today = AIUsageAlert.AlertType.ROLLUP_OFF, clock.now().date()
    for company_id in sorted(broken):
        own = [difference for difference in found if difference.company_id == company_id]
        models = ", ".join(sorted({difference.model for difference in own})[:NAMED])
        message = Text(
            "The rollups differ from the ledger in {count} places ({models}); rebuild_rollups mends them.",
            count=len(own),
            models=models,
        )
        alerts.raise_now(Alert(company_id, kind, "", "rollups", today, message, severity="critical"))
    rows = AIUsageAlert.objects.unscoped().filter(alert_type=kind, is_resolved=False)
    for row in rows.exclude(company_id__in=broken):
        alerts.resolve(row.company_id, row.pk, "In order again.")
