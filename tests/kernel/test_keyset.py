"""Pages by cursor are the pages by number, forwards and backwards, whatever a list is ordered by."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_core.api.filters import ORDERING as OF_JOBS
from ai_core.models import AIJob
from ai_openai.api.job_filters import ORDERING as OF_OPENAI
from ai_openai.models import OpenAIJob
from ai_usage.api.filters import ORDERING as OF_USAGE
from ai_usage.api.pages import CostPages, UsagePages
from ai_usage.models import JobRating
from ai_usage.selectors import Scope, listing
from ai_usage.selectors.by_cost import LATER, OWN, ByCost
from megahub.kernel import clock
from megahub.kernel.filters import StrictOrderingFilter
from megahub.kernel.keyset import Keyset
from tests import world
from tests.isolation.rows import make
from tests.test_lists import alerts, deliveries
from tests.usage import entry
from tests.world import Cast

ORDERINGS = {"jobs": OF_JOBS, "openai": OF_OPENAI, "usage": OF_USAGE}
PAGES = {"jobs": CostPages, "openai": CostPages, "usage": UsagePages}
#: (cost, time, tokens, model, effort, score) of jobs, with many equals; None: the job has used nothing.
#: A cost in a list was known later only.
USED: tuple[Any, ...] = (
    (5, 100, 7, "gpt-4o-mini", None, 20),
    (5, None, 7, "o3", "low", None),
    (None, 100, 0, "o3", "high", 20),
    None,
    (7, 50, 9, "o3", "low", 90),
    None,
    (7, 50, 9, "gpt-4o-mini", None, None),
    (5, 100, 9, "gpt-4o-mini", None, 20),
    ([5], 100, 9, "gpt-4o-mini", None, 20),
    (None, 90, 0, "o3", "high", None),
    ([6], 100, 9, "gpt-4o-mini", None, 20),
    ([9], 100, 9, "gpt-4o-mini", None, None),
    (5, 80, 1, "gpt-4o-mini", None, None),
)


@pytest.fixture
def lists(cast: Cast, rung: Any) -> dict[str, QuerySet[Any]]:
    """The querysets of the three lists, over jobs with and without usage."""
    moment = clock.now()
    for number, used in enumerate(USED):
        job = world.submit(cast.alice, later=True, params={"temperature": 0.5} if number % 2 else {})
        AIJob.objects.unscoped().filter(pk=job.pk).update(created_at=moment - timedelta(hours=number // 3))
        if used is None:
            continue
        cost, time, tokens, model, effort, score = used
        later, cost = (cost[0], None) if isinstance(cost, list) else (None, cost)
        facts = {"execution_time_ms": time, "input_tokens": tokens, "output_tokens": 0, "model": model}
        facts |= {"cost_input_nano_usd": cost, "reasoning_effort": effort, "job_id": job.pk}
        entry(cast, moment - timedelta(hours=number // 4), 0, cost_nano_usd=cost, **facts)
        if later is not None:
            entry(cast, moment, later, kind="adjust", **facts)
        if score is not None:
            make(JobRating, cast.company, job_id=job.pk, score_tenths=score, user=cast.alice.user)
    jobs = AIJob.objects.of(cast.company.pk).order_by("-created_at", "-pk")
    return {
        "jobs": jobs,
        "openai": OpenAIJob.objects.of(cast.company.pk).order_by("-created_at", "-pk"),
        "usage": listing.listed(Scope(cast.company.pk, None, True, "UTC")),
    }


def ordered(rows: QuerySet[Any], fields: dict[str, Any], ordering: str) -> QuerySet[Any]:
    """As ``?ordering=`` has it."""
    request: Any = SimpleNamespace(query_params={"ordering": ordering})
    view = SimpleNamespace(ordering_fields=fields, ordering=None)
    return StrictOrderingFilter().filter_queryset(request, rows, view)


def walked(rows: QuerySet[Any], size: int, pages: CostPages) -> tuple[list[list[int]], list[list[int]]]:
    """The pages on the way there, and those on the way back."""

    def page(cursor: str) -> tuple[list[int], Keyset]:
        keys = pages.keyset = Keyset.over(rows)
        return [row.pk for row in keys.page(keys.beyond(rows, cursor), size, pages.read)], keys

    found, keys = page("")
    there, back = [found], []
    while keys.following:
        found, keys = page(keys.following)
        there.append(found)
    while keys.preceding:
        found, keys = page(keys.preceding)
        back.append(found)
    return there, back


def by_number(rows: QuerySet[Any], size: int, pages: CostPages) -> list[list[int]]:
    """The pages by number, with the last, shorter one."""
    pages.keyset = None
    slices = range(0, rows.count(), size)
    return [[row.pk for row in pages.read(rows, bottom, bottom + size)] for bottom in slices]


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, str, int]:
    """(list, ordering, size of a page)."""
    name = draw(st.sampled_from(sorted(ORDERINGS)))
    field = st.tuples(st.sampled_from(["", "-"]), st.sampled_from(sorted(ORDERINGS[name]))).map("".join)
    fields = draw(st.lists(field, max_size=3))
    return name, ",".join(fields), draw(st.integers(1, 4))


def test_pages_by_cursor_are_those_by_number(lists: dict[str, QuerySet[Any]]) -> None:
    @settings(
        max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
    )
    @given(asked())
    def check(wanted: tuple[str, str, int]) -> None:
        name, ordering, size = wanted
        rows = ordered(lists[name], ORDERINGS[name], ordering)
        numbers = [row.pk for row in rows]
        pages = [numbers[n : n + size] for n in range(0, len(numbers), size)]
        assert by_number(rows, size, PAGES[name]()) == pages
        assert walked(rows, size, PAGES[name]()) == (pages, pages[-2::-1])

    check()


@pytest.mark.parametrize("name", sorted(ORDERINGS))
def test_every_ordering_of_every_list(lists: dict[str, QuerySet[Any]], name: str) -> None:
    for field in ORDERINGS[name]:
        for ordering in (field, f"-{field}"):
            rows = ordered(lists[name], ORDERINGS[name], ordering)
            numbers = [row.pk for row in rows]
            pages = [numbers[n : n + 3] for n in range(0, len(numbers), 3)]
            assert by_number(rows, 3, PAGES[name]()) == pages, ordering
            assert walked(rows, 3, PAGES[name]()) == (pages, pages[-2::-1]), ordering


@pytest.mark.parametrize("tie", ["", ",id"])
@pytest.mark.parametrize("name", sorted(ORDERINGS))
def test_a_list_by_cost_is_read_by_index(
    lists: dict[str, QuerySet[Any]], name: str, tie: str, on_postgres: None
) -> None:
    """No plan sorts the company's rows, in the index's order or backwards, with a cursor or without."""
    field = {"jobs": "usage__total_cost", "openai": "cost_usd", "usage": "total_cost"}[name]
    for ordering in (f"{field}{tie}", f"-{field}{tie}"):
        rows, pages = ordered(lists[name], ORDERINGS[name], ordering), PAGES[name]()
        keys = pages.keyset = Keyset.over(rows)
        keys.page(keys.beyond(rows, ""), 2, pages.read)
        behind = keys.beyond(rows, keys.following)
        for part in (ByCost.of(rows, None), ByCost.of(behind, keys)):
            assert part is not None
            for column, index in ((OWN, "ledger_by_amount"), (LATER, "ledger_adjusted")):
                plan = planned(part.priced(column).values_list(part.path + column, "pk")[:26])
                assert f" using {index} " in plan, plan
                # Equals are put in their order, a cost's jobs at a time.
                assert set(re.findall(r"(?:\w+ )?Sort (?= *\()", plan)) <= {"Incremental Sort "}, plan


def planned(rows: QuerySet[Any]) -> str:
    """How PostgreSQL would read many rows; it sorts a handful."""
    with transaction.atomic(), connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        return rows.explain()


@pytest.fixture
def on_postgres() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's plans are others")


def test_over_the_wire(cast: Cast, api: Any) -> None:
    """Links lead there and back; what was not delivered yet comes last."""
    for path in (alerts(cast), deliveries(cast)):
        ordering = "next_at" if "deliveries" in path else "-resolved_at"
        url, pages = f"{path}?cursor=&page_size=1&ordering={ordering}", []
        while url:
            answer = api.as_(cast.alice).get(url.removeprefix(api.url)).json()
            pages.append([row["id"] for row in answer["results"]])
            url = answer["next"]
        back = [pages[-1]]
        while answer["previous"]:
            answer = api.as_(cast.alice).get(answer["previous"].removeprefix(api.url)).json()
            back.append([row["id"] for row in answer["results"]])
        assert (len(pages), back) == (3, pages[::-1])
