"""Folding the ledger into a row per day and kind of usage, rebuilding the rows, checking them.

What an entry adds to its day is said once, by the views of migration 0007; folding groups it, readers
add the entries that are past the cursor. An entry may be folded when nothing below it can appear any
more: what was there a while ago, once every transaction that was open then has ended.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from ai_usage.models import AIUsageAlert, LedgerEntry, RatingChange, RollupCursor
from ai_usage.services import alerts
from ai_usage.services.alerts import Alert
from megahub.kernel import clock, sql
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


@dataclass(frozen=True, slots=True)
class Difference:
    """Rollups that do not say what the ledger says: by how much they say too much, figure by figure."""

    company_id: int
    day: str | None
    sandbox: bool
    provider: str
    model: str
    figures: dict[str, int]


def fold(lag: timedelta = LAG, at_once: int = STEP) -> int:
    """Fold what is safe to fold; how many entries' numbers the cursor has passed.

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
    with transaction.atomic(), connection.cursor() as database:
        cursor = RollupCursor.objects.select_for_update().get()
        database.execute(f"DELETE FROM {ROLLUPS} WHERE true{whose}", of)
        for view, last in ((LEDGER, cursor.ledger_id), (RATINGS, cursor.rating_id)):
            database.execute(_fold_statement(view, f"entry_id <= %s{whose}"), [last, *of])
        database.execute(f"SELECT count(*) FROM {ROLLUPS} WHERE true{whose}", of)
        return int(database.fetchone()[0])


def check(*, by_day: bool = False) -> list[Difference]:
    """Where rollups and ledger differ; ``by_day`` also when only the day does.

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
        return [_difference(keys, row) for row in database.fetchall()]


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
    waits = cursor.seen_ledger_id > cursor.ledger_id or cursor.seen_rating_id > cursor.rating_id
    if not waits or cursor.seen_xid > transaction_number("xmax"):
        ledger = LedgerEntry.objects.unscoped().aggregate(last=Max("pk"))["last"]
        ratings = RatingChange.objects.unscoped().aggregate(last=Max("pk"))["last"]
        cursor.seen_ledger_id = max(cursor.seen_ledger_id, ledger or 0)
        cursor.seen_rating_id = max(cursor.seen_rating_id, ratings or 0)
        cursor.seen_xid = transaction_number("xmax")
        cursor.seen_at = clock.now()
        cursor.save()


def _fold_step(cursor: RollupCursor, lag: timedelta, at_once: int) -> int:
    """Fold one step of what was seen, if it is safe by now; how far the cursor went."""
    safe = cursor.seen_at + lag <= clock.now() and transaction_number("xmin") >= cursor.seen_xid
    last = min(cursor.seen_ledger_id, cursor.ledger_id + at_once)
    last_rating = min(cursor.seen_rating_id, cursor.rating_id + at_once)
    step = last - cursor.ledger_id + last_rating - cursor.rating_id
    if not safe or not step:
        return 0
    between = "entry_id > %s AND entry_id <= %s"
    with connection.cursor() as database:
        database.execute(_fold_statement(LEDGER, between), [cursor.ledger_id, last])
        database.execute(_fold_statement(RATINGS, between), [cursor.rating_id, last_rating])
    cursor.ledger_id, cursor.rating_id = last, last_rating
    cursor.save(update_fields=["ledger_id", "rating_id"])
    return step


def transaction_number(which: str) -> int:
    """The oldest open transaction (``xmin``) or the next one (``xmax``); SQLite has one at a time."""
    if not sql.on_postgres():
        return 0
    with connection.cursor() as database:
        database.execute(f"SELECT pg_snapshot_{which}(pg_current_snapshot())::text::bigint")
        return int(database.fetchone()[0])


def _fold_statement(view: str, condition: str) -> str:
    """Add the view's rows to their rollups; histograms by bucket first, then everything by day."""
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
