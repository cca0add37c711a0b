"""Whether budgets, jobs and ledger still say the same: the invariants of the money, asked of the rows.

I1: what a window holds (``reserved``, ``unknown_exposure``) is the sum of what open jobs, batches' lines
and calls of unknown outcome hold of it. I2: what it spent is what the ledger charged to it, beside what it
was opened with. I3: a hard budget holds and has spent no more than its limit and what jobs cost beyond
their estimates, the limit being the greatest that held in the window. I4: every job, and every line of a
batch, that has ended was closed exactly once, no other one was (a line that never ran: not at all). And the
rollups say what the ledger says.

It stands at the top of the ladder because batches hold of budgets too. Everything is counted by the
database, in one snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from ai_batch.domain.results import FIRST_LEDGER_NUMBER
from ai_usage.models import AIUsageAlert, BudgetWindow
from ai_usage.services import alerts, rollups
from ai_usage.services.alerts import Alert
from megahub.kernel import clock
from megahub.kernel.snapshot import snapshot
from megahub.kernel.sql import on_postgres
from megahub.kernel.text import Text

log = logging.getLogger(__name__)

#: At most so many of each kind are told; one is enough to look.
TOLD = 100
#: (budget, first day, sandbox)
Key = tuple[int, date, bool]
#: What jobs hold: jobs' and exposures' rows ``[budget, day, amount, unit]``.
UNFOLD = {
    True: "CROSS JOIN LATERAL jsonb_array_elements({column}) AS h(value)",
    False: "CROSS JOIN json_each({column}) AS h",
}
PICKS = {
    True: "(h.value->>0)::bigint, h.value->>1, {sandbox}, h.value->>{unit}",
    False: "json_extract(h.value, '$[0]'), json_extract(h.value, '$[1]'), {sandbox},"
    " json_extract(h.value, '$[{unit}]')",
}
AMOUNT = {True: "(h.value->>2)::bigint", False: "json_extract(h.value, '$[2]')"}
TOKENS = (
    "l.input_tokens + l.cache_read_tokens + l.cache_write_tokens + l.output_tokens + l.reasoning_tokens"
)
CHARGED = "l.kind IN ('settle', 'adjust', 'late')"


@dataclass(frozen=True, slots=True)
class Off:
    """What is off, whose, and by how much it says too much."""

    invariant: str
    company_id: int
    what: str
    by: int

    def __str__(self) -> str:
        return f"{self.invariant} company {self.company_id} {self.what}: {self.by:+d}"


def verify() -> list[Off]:
    """Everything that is off now."""
    with snapshot():
        return [*_windows(), *_closings(), *_lines(), *_rollups()]


def tell(found: list[Off]) -> None:
    """Log what is off and raise an alert of each company; resolve those of companies in order again."""
    today = clock.now().date()
    for off in found:
        log.error("the ledger is off: %s", off)
    broken = {off.company_id for off in found}
    for company_id in sorted(broken):
        own = [off for off in found if off.company_id == company_id]
        names = ", ".join(sorted({off.invariant for off in own}))
        words = {"count": len(own), "names": names}
        message = Text("Budgets, jobs and ledger differ in {count} places ({names}).", **words)
        kind = AIUsageAlert.AlertType.LEDGER_OFF
        alerts.raise_now(Alert(company_id, kind, "", "ledger", today, message, severity="critical"))
    rows = AIUsageAlert.objects.unscoped().filter(alert_type="ledger_off", is_resolved=False)
    for row in rows.exclude(company_id__in=broken):
        alerts.resolve(row.company_id, row.pk, "In order again.")


def _windows() -> Iterator[Off]:
    held, exposed = _held(), _sums(_holds("ai_usage_unknownexposure", "t.ended_at IS NULL", but="jobs"))
    spent, beyond = _spent()
    for row in BudgetWindow.objects.select_related("budget").order_by("pk").iterator():
        key: Key = (row.budget_id, row.starts_on, row.sandbox)
        company, name = (
            row.budget.company_id,
            f"window {row.pk} of budget {row.budget_id} ({row.starts_on})",
        )
        for invariant, what, says, true in (
            ("I1", "reserved", row.reserved, held.get(key, 0)),
            ("I1", "unknown_exposure", row.unknown_exposure, exposed.get(key, 0)),
            ("I2", "spent", row.spent, row.opening + spent.get(key, 0)),
        ):
            if says != true:
                yield Off(invariant, company, f"{name} {what}", says - true)
        taken = row.used + row.reserved + row.unknown_exposure
        room = max(row.budget.limit, row.was_limit or 0) + row.opening + beyond.get(key, 0)
        if taken > room and row.budget.is_hard and row.budget.is_active:
            yield Off("I3", company, f"{name} beyond its limit", taken - room)


def _held() -> dict[Key, int]:
    """What open jobs and lines hold."""
    postgres = on_postgres()
    picks = PICKS[postgres].format(sandbox="b.sandbox", unit=2)
    lines = (
        f"SELECT {picks}, CASE {_unit(2)} WHEN 'nano_usd' THEN n.usd WHEN 'tokens' THEN n.tokens"
        " ELSE n.number END FROM (SELECT l.batch_id, COUNT(*) AS number,"
        " SUM(l.estimated_nano_usd) AS usd, SUM(l.estimated_tokens) AS tokens"
        " FROM ai_batch_line l JOIN ai_batch_batch o ON o.id = l.batch_id"
        " WHERE l.status IN ('pending', 'running') AND l.slice_no < o.reserved_slices"
        " GROUP BY l.batch_id) n"
        f" JOIN ai_batch_batch b ON b.id = n.batch_id {UNFOLD[postgres].format(column='b.windows')}"
    )
    return _sums(_holds("ai_core_aijob", "t.status IN ('pending', 'running')") + " UNION ALL " + lines)


def _unit(place: int) -> str:
    return f"h.value->>{place}" if on_postgres() else f"json_extract(h.value, '$[{place}]')"


def _holds(table: str, condition: str, but: str = "") -> str:
    """The stored holds of a table's rows, one by one."""
    postgres = on_postgres()
    picks = PICKS[postgres].format(sandbox="t.sandbox", unit=3)
    return (
        f"SELECT {picks}, {AMOUNT[postgres]} FROM {table} t {UNFOLD[postgres].format(column='t.holds')}"
        f" WHERE {condition} AND {_unit(3)} <> '{but}'"
    )


def _spent() -> tuple[dict[Key, int], dict[Key, int]]:
    """What the ledger charged to each window, and how much of that was beyond what had been held."""
    spent: dict[Key, int] = {}
    beyond: dict[Key, int] = {}
    for statement in (_charged_jobs(), _charged_lines()):
        over = "SUM(CASE WHEN amount > held THEN amount - held ELSE 0 END)"
        grouped = f"SELECT a, b, c, SUM(amount), {over} FROM ({statement}) s GROUP BY a, b, c"
        for budget_id, day, sandbox, amount, more in _rows(grouped):
            key = int(budget_id), date.fromisoformat(day), bool(sandbox)
            spent[key] = spent.get(key, 0) + int(amount)
            beyond[key] = beyond.get(key, 0) + int(more)
    return spent, beyond


def _charged_jobs() -> str:
    return _charged(
        "ai_usage_ledgerentry l JOIN ai_core_aijob j ON j.id = l.job_id",
        "j.holds",
        3,
        AMOUNT[on_postgres()],
    )


def _charged_lines() -> str:
    held = (
        f"CASE {_unit(2)} WHEN 'nano_usd' THEN n.estimated_nano_usd"
        " WHEN 'tokens' THEN n.estimated_tokens ELSE 1 END"
    )
    joined = (
        f"ai_usage_ledgerentry l JOIN ai_batch_line n ON l.job_id = {FIRST_LEDGER_NUMBER} - n.id"
        " JOIN ai_batch_batch b ON b.id = n.batch_id"
    )
    return _charged(joined, "b.windows", 2, held)


def _charged(joined: str, column: str, unit: int, held: str) -> str:
    budget, day = (
        ("(h.value->>0)::bigint", "h.value->>1")
        if on_postgres()
        else (
            "json_extract(h.value, '$[0]')",
            "json_extract(h.value, '$[1]')",
        )
    )
    amount = (
        f"CASE {_unit(unit)} WHEN 'nano_usd' THEN l.charged_nano_usd WHEN 'tokens' THEN {TOKENS}"
        " ELSE CASE WHEN l.kind = 'settle' THEN 1 ELSE 0 END END"
    )
    kept = f"CASE WHEN l.kind = 'settle' THEN {held} ELSE 0 END"
    return (
        f"SELECT {budget} AS a, {day} AS b, l.sandbox AS c, {amount} AS amount, {kept} AS held"
        f" FROM {joined} {UNFOLD[on_postgres()].format(column=column)} WHERE {CHARGED}"
    )


def _sums(statement: str) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for budget_id, day, sandbox, _, amount in _rows(statement):
        key = int(budget_id), date.fromisoformat(day), bool(sandbox)
        found[key] = found.get(key, 0) + int(amount)
    return found


def _closings() -> Iterator[Off]:
    """Jobs that have ended and were not closed once, and closed ones that have not ended."""
    statement = (
        "SELECT j.company_id, j.job_id, j.status, COUNT(l.id) FROM ai_core_aijob j"
        " LEFT JOIN ai_usage_ledgerentry l ON l.job_id = j.id AND l.kind IN ('settle', 'void')"
        " GROUP BY j.id, j.company_id, j.job_id, j.status"
        " HAVING COUNT(l.id) <> CASE WHEN j.status IN ('pending', 'running') THEN 0 ELSE 1 END"
        f" ORDER BY j.id LIMIT {TOLD}"
    )
    for company_id, ref, status, closings in _rows(statement):
        expected = 0 if status in ("pending", "running") else 1
        yield Off("I4", company_id, f"job {ref} ({status}) closings", closings - expected)


def _lines() -> Iterator[Off]:
    """The same of batches' lines; what was cancelled or expired before it ran was closed by nothing."""
    statement = (
        "SELECT b.company_id, b.batch_id, n.line_no, n.status, COUNT(l.id) FROM ai_batch_line n"
        " JOIN ai_batch_batch b ON b.id = n.batch_id"
        f" LEFT JOIN ai_usage_ledgerentry l ON l.job_id = {FIRST_LEDGER_NUMBER} - n.id"
        " AND l.kind IN ('settle', 'void')"
        " GROUP BY n.id, b.company_id, b.batch_id, n.line_no, n.status"
        " HAVING COUNT(l.id) > CASE WHEN n.status IN ('pending', 'running') THEN 0 ELSE 1 END"
        " OR (n.status = 'completed' AND COUNT(l.id) = 0)"
        f" ORDER BY n.id LIMIT {TOLD}"
    )
    for company_id, batch, line_no, status, closings in _rows(statement):
        expected = 0 if status in ("pending", "running") else 1
        yield Off("I4", company_id, f"line {line_no} of {batch} ({status}) closings", closings - expected)


def _rollups() -> Iterator[Off]:
    for off in rollups.check()[:TOLD]:
        for name, amount in off.figures.items():
            yield Off("rollup", off.company_id, f"{off.provider} {off.model} {name}", amount)


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
