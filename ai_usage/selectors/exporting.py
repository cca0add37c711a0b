"""Rows of usage for a file, some thousand at a time; on PostgreSQL as the lines of a CSV, made there.

Rows come in the order of their time and number, through the index ``ledger_by_company``. A CSV's lines
are put together by the database: 1 million rows of 26 columns cost Python 20 seconds to read and
write, and PostgreSQL half of that to write by itself (docs/performance.md). What it writes is what
``domain/exports.py`` writes, byte for byte (tests/ai_usage/test_export_files.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Count, Max, Q, QuerySet, Sum

from ai_usage.domain import exports
from ai_usage.domain.exports import COLUMNS, FIELDS, NO_TOTALS, Kind, Row, Totals
from ai_usage.models import Export, ExportSchedule
from megahub.delivery.models import Mail
from megahub.tenancy.selectors import Caller, bound_brands

Rows = QuerySet[Any]
#: As lines the database puts them together, as rows Python holds some 5 KB for each.
LINES_AT_ONCE = 20_000
CHUNK_ROWS = 4_000

#: Most texts begin with a letter and are of one line: they are not matched against the pattern.
_IS_PLAIN = f"ascii({{0}}) BETWEEN 65 AND 122 AND {{0}} !~ '[{exports.BREAKS}\"]'"
_SHOWN: dict[Kind, str] = {
    "text": (
        f"CASE WHEN {_IS_PLAIN} THEN {{0}} WHEN {{0}} ~ '{exports.RUNS}'"
        """ THEN '''' || replace({0}, '"', '""') ELSE replace({0}, '"', '""') END"""
    ),
    "word": "{0}",
    "number": "{0}::text",
    "money": "({0} * 0.000000001)::text",
    "time": """to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
    "flag": "CASE WHEN {0} THEN 'true' WHEN NOT {0} THEN 'false' END",
}
_CELLS = ", ".join(
    f"COALESCE({_SHOWN[column.kind].format(f'c{place}')}, '')" for place, column in enumerate(COLUMNS)
)
_NAMES = ", ".join(["pk", "at", *(f"c{place}" for place in range(len(COLUMNS)))])
_COST, _TOKENS = (f"c{FIELDS.index(name)}" for name in ("total_cost_nano_usd", "total_tokens"))
_LINES = f"""
SELECT string_agg('"' || concat_ws('","', {_CELLS}) || E'"\\n', ''), (array_agg(pk))[count(*)], max(at),
    count(*), sum({_TOKENS}), sum({_COST}), count({_COST})
FROM ({{rows}}) t({_NAMES})
"""


def exports_of(caller: Caller) -> QuerySet[Export]:
    """The exports that a caller may see: those of brands only that they may enter, newest first."""
    rows: QuerySet[Export] = Export.objects.of(caller.company_id)
    return _within(rows, caller).select_related("created_by").order_by("-pk")


def schedules_of(caller: Caller) -> QuerySet[ExportSchedule]:
    """The schedules that a caller may see, likewise."""
    rows: QuerySet[ExportSchedule] = ExportSchedule.objects.of(caller.company_id)
    return _within(rows, caller).select_related("created_by", "company").order_by("pk")


def _within(rows: Any, caller: Caller) -> Any:
    """Those of all brands are for those who may enter all of them."""
    entered = bound_brands(caller)
    if entered is None:
        return rows
    own = [pk for pk, brands in rows.values_list("pk", "brand_ids") if brands and entered >= set(brands)]
    return rows.filter(pk__in=own)


def mails_about(company_id: int, about: list[str]) -> dict[str, list[Mail]]:
    """The e-mails about some exports."""
    found: dict[str, list[Mail]] = {}
    for mail in Mail.objects.of(company_id).filter(about__in=about).order_by("pk"):
        found.setdefault(mail.about, []).append(mail)
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Behind which row the next ones come."""

    at: datetime
    pk: int


def totals_of(rows: Rows) -> Totals:
    """What the rows add up to."""
    found = rows.order_by().aggregate(
        rows=Count("pk"),
        priced=Count("total_cost_nano_usd"),
        tokens=Sum("total_tokens"),
        cost=Sum("total_cost_nano_usd"),
    )
    return exports.total_of(found["rows"], found["tokens"], found["cost"], found["priced"])


def are_more_than(rows: Rows, number: int) -> bool:
    """Whether there are; without counting all of them."""
    return len(rows.order_by().values_list("pk")[number : number + 1]) > 0


def last_of(rows: Rows) -> int:
    """The greatest number of a row; 0 without any."""
    return rows.order_by().aggregate(last=Max("pk"))["last"] or 0


def chunk(rows: Rows, after: Place | None) -> tuple[list[Row], Place | None, Totals]:
    """The next rows, the place behind them (None: there were none), and what they add up to."""
    found = list(_following(rows, after, CHUNK_ROWS))
    if not found:
        return [], None, NO_TOTALS
    cells = [row[2:] for row in found]
    return cells, Place(found[-1][1], found[-1][0]), exports.added_up(cells)


def lines(rows: Rows, after: Place | None) -> tuple[bytes, Place | None, Totals]:
    """The same as the lines of a CSV; PostgreSQL only."""
    try:
        query, params = _following(rows, after, LINES_AT_ONCE).query.sql_with_params()
    except EmptyResultSet:  # a filter that no row can pass has no query
        return b"", None, NO_TOTALS
    with connection.cursor() as cursor:
        cursor.execute(_LINES.replace("{rows}", query), params)
        text, pk, at, number, tokens, cost, priced = cursor.fetchone()
    if not number:
        return b"", None, NO_TOTALS
    return text.encode(), Place(at, pk), exports.total_of(number, tokens, cost, priced)


def _following(rows: Rows, after: Place | None, most: int) -> Any:
    """The first key bounds the scan of the index; the number decides among rows of one moment."""
    if after is not None:
        behind = Q(created_at__gt=after.at) | Q(pk__gt=after.pk)
        rows = rows.filter(behind, created_at__gte=after.at)
    return rows.order_by("created_at", "pk").values_list("pk", "created_at", *FIELDS)[:most]
