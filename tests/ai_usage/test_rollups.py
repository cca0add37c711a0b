"""Rollups: folded once, never missing anything, and true to the last job with what is unfolded."""

from __future__ import annotations

import math
import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from ai_core import pipeline
from ai_usage import selectors, tasks
from ai_usage.domain import histogram
from ai_usage.models import AIJobUsage, AIUsageAlert, LedgerEntry, RollupCursor, UsageDay, UsageRollup
from ai_usage.selectors import Scope
from ai_usage.services import ratings, rollups
from megahub.kernel import loop
from megahub.tenancy.models import Company
from tests import world
from tests.stubs import Scripted, completion
from tests.threads import still_open
from tests.usage import entry, fold
from tests.world import Cast

Provider = Callable[..., Scripted]
MIDDAY = datetime(2026, 3, 10, 12, tzinfo=UTC)


def figures(cast: Cast, model: Any = UsageDay) -> dict[str, int]:
    """All sums of the company's days."""
    rows = model.objects.of(cast.company.pk)
    return dict(rows.aggregate(**{name: Sum(name) for name in rollups.SUMS}))


def test_it_works(cast: Cast, provider: Provider) -> None:
    provider(completion("Hi.", prompt=10, output=5))
    job = world.submit(cast.alice)
    loop.run(pipeline.run(job))
    before = figures(cast)

    fold()

    (row,) = UsageRollup.objects.of(cast.company.pk)
    (settled,) = world.ledger(job)
    assert (row.day, row.sandbox, row.brand_id) == (settled.created_at.date(), True, cast.brand.pk)
    assert (row.provider, row.model, row.generation) == ("openai", "gpt-4o-mini", "legacy")
    assert {name: getattr(row, name) for name in rollups.SUMS} == {
        **dict.fromkeys(rollups.SUMS, 0),
        "jobs": 1,
        "succeeded": 1,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_nano_usd": settled.cost_nano_usd,
        "cost_input_nano_usd": settled.cost_input_nano_usd,
        "execution_ms": settled.execution_time_ms,
        "timed_jobs": 1,
    }
    assert row.histogram == {str(histogram.bucket_of(settled.execution_time_ms or 0)): 1}
    assert before == figures(cast) == figures(cast, UsageRollup)


def test_the_tail_is_counted_until_it_is_folded(cast: Cast) -> None:
    entry(cast, MIDDAY)
    fold()
    entry(cast, MIDDAY, cost=5)

    assert figures(cast, UsageRollup)["jobs"] == 1
    assert (figures(cast)["jobs"], figures(cast)["cost_nano_usd"]) == (2, 1005)
    fold()
    (row,) = UsageRollup.objects.of(cast.company.pk)
    assert (row.jobs, row.cost_nano_usd) == (2, 1005)
    assert figures(cast)["jobs"] == 2


def test_histograms_are_added(cast: Cast) -> None:
    for milliseconds in (0, 1, 100, 100, 5000):
        entry(cast, MIDDAY, execution_time_ms=milliseconds)
        fold()
    entry(cast, MIDDAY, execution_time_ms=None)
    fold()

    (row,) = UsageRollup.objects.of(cast.company.pk)
    wanted = [str(histogram.bucket_of(ms)) for ms in (0, 1, 100, 5000)]
    assert row.histogram == dict(zip(wanted, (1, 1, 2, 1), strict=True))
    assert (row.jobs, row.timed_jobs, row.execution_ms) == (6, 5, 5201)


def test_sql_and_python_agree_on_buckets(cast: Cast) -> None:
    times = [0, 1, 2, 3, 7, 19, 20, 21, 99, 1000, 59_999, 3_600_000]
    for milliseconds in times:
        entry(cast, MIDDAY, execution_time_ms=milliseconds)

    found = [row.histogram for row in UsageDay.objects.of(cast.company.pk).order_by("entry_id")]
    assert found == [{str(histogram.bucket_of(ms)): 1} for ms in times]
    fold()
    (row,) = UsageRollup.objects.of(cast.company.pk)
    whole: dict[str, int] = {}
    for each in found:
        histogram.add(whole, each)
    assert row.histogram == whole


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"outcome": "completed"}, {"succeeded": 1}),
        ({"outcome": "failed", "is_success": False}, {"failed": 1}),
        ({"outcome": "timeout", "is_success": False}, {"timeouts": 1}),
        ({"outcome": "cancelled", "is_success": False}, {"cancelled": 1}),
        ({"outcome": None, "is_success": False}, {"failed": 1}),
        ({"outcome": None}, {"succeeded": 1}),
        ({"kind": "void", "outcome": "failed", "is_success": False, "attempt_no": 1}, {"failed": 1}),
        ({"cost_nano_usd": None}, {"succeeded": 1, "unpriced": 1}),
    ],
)
def test_what_counts_as_what(cast: Cast, fields: dict[str, Any], wanted: dict[str, int]) -> None:
    entry(cast, MIDDAY, **fields)

    found = figures(cast)
    names = ("succeeded", "failed", "timeouts", "cancelled", "unpriced")
    assert {name: found[name] for name in names} == {**dict.fromkeys(names, 0), **wanted}
    assert found["jobs"] == AIJobUsage.objects.of(cast.company.pk).count() == 1


def test_a_void_that_was_never_called_is_no_job(cast: Cast) -> None:
    entry(cast, MIDDAY, kind="void", attempt_no=0, cost=0)
    fold()

    assert not UsageDay.objects.of(cast.company.pk).exists()


def test_an_adjustment_corrects_the_day_of_its_settlement(cast: Cast) -> None:
    settled = entry(cast, MIDDAY, cost_nano_usd=None, cost_input_nano_usd=None)
    fold()
    entry(
        cast, MIDDAY + timedelta(days=40), kind="adjust", job_id=settled.job_id, cost=700,
        input_tokens=0, output_tokens=0, execution_time_ms=None,
    )  # fmt: skip

    for _ in range(2):
        found, days = figures(cast), UsageDay.objects.of(cast.company.pk).values_list("day", flat=True)
        assert (found["jobs"], found["unpriced"], found["cost_nano_usd"]) == (1, 0, 700)
        assert set(days) == {MIDDAY.date()}
        fold()
    assert UsageRollup.objects.of(cast.company.pk).count() == 1


def test_days_are_the_companys_own(cast: Cast) -> None:
    Company.objects.filter(pk=cast.company.pk).update(timezone="Pacific/Auckland")
    entry(cast, datetime(2026, 3, 10, 23, 30, tzinfo=UTC))
    (row,) = UsageDay.objects.of(cast.company.pk)
    assert str(row.day) == "2026-03-11"
    fold()
    Company.objects.filter(pk=cast.company.pk).update(timezone="UTC")

    (row,) = UsageDay.objects.of(cast.company.pk)
    assert str(row.day) == "2026-03-11"
    assert not [off for off in rollups.check() if off.company_id == cast.company.pk]
    assert [off for off in rollups.check(by_day=True) if off.company_id == cast.company.pk]
    rollups.rebuild(cast.company.pk)
    (row,) = UsageDay.objects.of(cast.company.pk)
    assert str(row.day) == "2026-03-10"


def test_ratings_are_folded_and_changed(cast: Cast) -> None:
    rated = entry(cast, MIDDAY)
    ratings.rate(cast.company.pk, rated.job_id, cast.alice.user.pk, 80, "")
    assert (figures(cast)["ratings_tenths"], figures(cast)["ratings"]) == (80, 1)
    fold()
    ratings.rate(cast.company.pk, rated.job_id, cast.alice.user.pk, 95, "better")
    ratings.rate(cast.company.pk, rated.job_id, cast.bob.user.pk, 40, "")

    for _ in range(2):
        found = figures(cast)
        assert (found["ratings_tenths"], found["ratings"], found["jobs"]) == (135, 2, 1)
        fold()
    assert UsageRollup.objects.of(cast.company.pk).get().ratings_tenths == 135


def test_two_beats_at_once_fold_once(cast: Cast) -> None:
    for _ in range(20):
        entry(cast, MIDDAY)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(timeout=10)
        try:
            for _ in range(5):
                rollups.fold(timedelta(0))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    fold()

    assert figures(cast, UsageRollup)["jobs"] == figures(cast)["jobs"] == 20


def test_a_transaction_that_is_still_open_is_not_passed(cast: Cast) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: numbers appear in their order")
    fold()
    with still_open(lambda: entry(cast, MIDDAY, cost=7)):
        later = entry(cast, MIDDAY)
        for _ in range(3):
            rollups.fold(timedelta(0))
        assert RollupCursor.objects.get().ledger_id < later.pk
    fold()
    assert figures(cast, UsageRollup)["cost_nano_usd"] == 1007


def test_what_was_just_seen_is_folded_after_the_lag(cast: Cast) -> None:
    fold()
    entry(cast, MIDDAY)

    rollups.fold(timedelta(hours=1))
    assert not UsageRollup.objects.of(cast.company.pk).exists()
    RollupCursor.objects.update(seen_at=MIDDAY)
    fold()
    assert figures(cast, UsageRollup)["jobs"] == 1


def test_rebuilt_is_what_was_folded(cast: Cast) -> None:
    for day in range(3):
        entry(cast, MIDDAY + timedelta(days=day), execution_time_ms=10**day)
    fold()
    wanted = list(
        UsageRollup.objects.of(cast.company.pk).order_by("day").values_list(*rollups.SUMS, "histogram")
    )
    UsageRollup.objects.of(cast.company.pk).filter(day=MIDDAY.date()).delete()
    UsageRollup.objects.of(cast.company.pk).update(jobs=9, histogram={})

    out = StringIO()
    call_command("rebuild_rollups", "--company", cast.company.slug, stdout=out)

    assert out.getvalue() == "3 rollups made.\n"
    found = UsageRollup.objects.of(cast.company.pk).order_by("day").values_list(*rollups.SUMS, "histogram")
    assert list(found) == wanted


def test_a_company_that_is_not_there_is_not_rebuilt() -> None:
    with pytest.raises(CommandError, match="no company nowhere"):
        call_command("rebuild_rollups", "--company", "nowhere")


def test_the_check_says_what_is_off(cast: Cast) -> None:
    entry(cast, MIDDAY)
    fold()
    rollups.rebuild()
    assert rollups.check(by_day=True) == []
    call_command("check_rollups", "--by-day", stdout=StringIO())
    UsageRollup.objects.of(cast.company.pk).update(cost_nano_usd=900, jobs=3)
    out = StringIO()
    try:
        with pytest.raises(CommandError, match="1 rollups differ"):
            call_command("check_rollups", stdout=out)
        tasks.check_rollups()
        tasks.check_rollups()
    finally:
        rollups.rebuild(cast.company.pk)

    where = f"company {cast.company.pk}  openai gpt-4o-mini (sandbox): "
    assert out.getvalue() == where + "jobs +2, cost_nano_usd -100\n"
    alert = AIUsageAlert.objects.of(cast.company.pk).get()
    assert (alert.alert_type, alert.severity, alert.is_resolved) == ("rollup_off", "critical", False)
    assert alert.message == (
        "The rollups differ from the ledger in 1 places (gpt-4o-mini); rebuild_rollups mends them."
    )
    tasks.check_rollups()
    alert.refresh_from_db()
    assert (alert.is_resolved, alert.resolution_note) == (True, "In order again.")


def test_the_outcome_is_in_the_ledger(cast: Cast, rung: Any, provider: Provider) -> None:
    provider(completion("Hi."))
    done, cancelled = world.submit(cast.alice), world.submit(cast.alice, later=True)
    loop.run(pipeline.run(done))
    loop.run(pipeline.cancel(cancelled.pk, cast.company.pk))

    assert [world.ledger(job)[0].outcome for job in (done, cancelled)] == ["completed", "cancelled"]
    assert LedgerEntry.objects.of(cast.company.pk).count() == 2


def test_a_backup_of_another_server_is_folded_on(cast: Cast) -> None:
    """What that one counted as its next transaction may be far ahead of this one's."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite counts no transactions")
    fold()
    entry(cast, MIDDAY)
    rollups.fold(timedelta(hours=1))
    RollupCursor.objects.update(seen_xid=2**60)
    fold()
    assert figures(cast, UsageRollup)["jobs"] == 1


def test_a_few_rows_among_many_are_looked_for_in_their_days(cast: Cast) -> None:
    for month in (3, 5):
        entry(cast, MIDDAY.replace(month=month))
    entry(cast, MIDDAY.replace(month=9), sandbox=False)
    fold()
    entry(cast, MIDDAY.replace(month=6))  # not folded yet

    played = Scope(cast.company.pk, None, True, "Europe/Zurich")
    known = selectors.extent(played, [("model", "gpt-4o-mini")])
    days = [MIDDAY.replace(month=month).date() for month in (3, 6)]
    assert (known.jobs, known.first, known.last) == (3, *days)
    everything = AIJobUsage.objects.of(cast.company.pk)
    assert everything.count() == 4
    assert {row.sandbox for row in selectors.within(everything, played, known)} == {True}
    nothing = selectors.extent(played, [("model", "o3")])
    assert selectors.within(everything, played, nothing).query.is_empty()


def test_jobs_are_counted_from_an_index_alone(cast: Cast) -> None:
    """Every column that is asked for stands in it (the plan depends on how full the table is)."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's index has them, too")
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        selectors.extent(Scope(cast.company.pk, frozenset((1,)), True, "UTC"), [("model", "o3")])
        asked = re.findall(r'"ai_usage_usagerollup"\."(\w+)"', queries.captured_queries[-1]["sql"])
        cursor.execute("SELECT pg_get_indexdef('rollup_jobs'::regclass)")
        (definition,) = cursor.fetchone()
    assert set(asked) == {"company_id", "sandbox", "day", "brand_id", "model", "jobs"}
    assert set(asked) <= set(re.findall(r"\w+", definition.partition("btree")[2]))


def test_a_request_is_one_processors_work() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite uses one processor for every statement")
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_parallel_workers_per_gather")
        assert cursor.fetchone() == ("0",)


def test_quantiles_are_those_of_all_jobs() -> None:
    """Beside the sorted times themselves, whatever the buckets and however they were added up."""
    chance = random.Random(1)
    for _ in range(300):
        buckets = [chance.randint(0, 300) for _ in range(chance.randint(0, 60))]
        whole: dict[str, int] = {}
        for begin in range(0, len(buckets), 7):
            histogram.add(whole, Counter(map(str, buckets[begin : begin + 7])))
        ranks = [math.ceil(len(buckets) * share) - 1 for share in (0.5, 0.95, 0.99)]
        wanted = [histogram._middle(sorted(buckets)[rank]) if buckets else None for rank in ranks]
        assert histogram.quantiles(whole, 0.5, 0.95, 0.99) == wanted
