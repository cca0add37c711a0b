"""Each place that says whose rows it means forgets it in turn, and a walk over all routes must notice.

What proves the walk: a filter whose absence nobody sees is one that nobody tests. PostgreSQL with
row-level security would hide what the filter lets through, so this runs where that net is not there
(SQLite, or PYTEST_ROW_SECURITY=0); that the net alone is enough is for PYTEST_NET=rows to say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings

from ai_core.services import forgetting
from ai_guard.models import Finding
from ai_providers import services as providers
from ai_usage.models import Budget, BudgetWindow
from megahub.kernel import cache
from megahub.kernel.sql import on_postgres
from megahub.tenancy.scoping import Scoped
from tests import routes, test_isolation, world
from tests.conftest import Api
from tests.test_isolation import Owned
from tests.world import Cast

owned, receiver = test_isolation.owned, test_isolation.receiver
pytestmark = pytest.mark.skipif(
    on_postgres() and settings.HUB_ROW_SECURITY, reason="row-level security stands behind the filters"
)
ORDER = {"GET": 0, "POST": 1, "PATCH": 2, "PUT": 3, "DELETE": 4}
OURS = ("megahub.", "ai_")
#: What differs between two answers to the same question.
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)?|\"(?:uptime|as_of|seconds)[^,}]*")
#: Reached by the walk, and not to be noticed in an answer.
UNNOTICED = {
    **dict.fromkeys(
        ("ai_batch.selectors.batches_of", "ai_batch.selectors.files_of", "ai_batch.selectors.schedules_of",
         "ai_batch.selectors.statistics", "ai_core.selectors.batches.batch_of", "ai_core.selectors.jobs_of",
         "ai_openai.selectors.jobs_of", "ai_usage.selectors.job_days"),
        "the caller's brand stands beside it, found by membership (tests/isolation/test_places.py)",
    ),
    "ai_usage.services.defaults.provide_quotas": "the walk's companies have theirs; for one that has none,"
    " another's would keep them from being made (tests/ai_usage/test_quotas_api.py)",
    "ai_usage.services.rates._load": "it refuses calls of models, which the walk makes none of",
    "ai_usage.selectors.brand_names": "names for numbers out of the caller's own figures",
    "megahub.audit.selectors.trail_of": "a chain has its company's number, which stands beside it",
    "megahub.tenancy.invitation_mail._mails": "an invitation's mail has its number, which stands beside it",
    "megahub.tenancy.selectors.enterable": "the walk names no brand (test_tokens_api.py does)",
    "megahub.tenancy.selectors.bound_brands": "the caller's own number stands beside it",
    "megahub.tenancy.selectors.brands_of": "the caller's own number stands beside it",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A request of Charlie's, with ids of Alice's where there are any."""

    method: str
    path: str
    body: Any = None

    def ask(self, api: Api) -> tuple[int, bytes]:
        answer = api.request(self.method, self.path, json=self.body)
        return answer.status_code, MOMENT.sub(b"", answer.content)


class Places:
    """``Scoped.of``, watched: who asks, and for one place without the filter."""

    def __init__(self) -> None:
        self.real = Scoped.of
        self.seen: set[str] = set()
        self.gone = ""

    def of(self, manager: Any, company_id: int) -> Any:
        frame = sys._getframe(2)
        place = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
        if place.startswith(OURS):
            self.seen.add(place)
            if place == self.gone:
                return manager.unscoped()
        return self.real(manager, company_id)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Places:
    found = Places()
    monkeypatch.setattr(Scoped, "of", lambda own, company: found.of(own, company))  # noqa: PLW0108
    return found


def steps(owned: Owned) -> Iterator[Step]:
    """Every route with ids of Alice's, and every list and figure."""
    for row in [*test_isolation.ROWS, *test_isolation.QUERIES]:
        if not re.search(r"/events/?$", row.path):  # it would go on until the job has ended
            values = iter(owned.ids(row.owned)[0][0])
            path = re.sub(r"\{\w+\}", lambda _, left=values: next(left), row.path)
            yield Step(row.method, path, row.body)
    for path, pattern in routes.of_the_api().items():
        if "{" not in path and "GET" in routes.methods_of(pattern):
            yield Step("GET", path)


def test_every_filter_is_missed(
    api: Api, cast: Cast, owned: Owned, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    charlie = api.as_(cast.charlie)
    assert charlie.get("/ai/quotas/").status_code == 200
    add_what_has_no_route(api.as_(cast.alice), cast)
    reach: dict[str, list[tuple[Step, tuple[int, bytes]]]] = {}
    for step in sorted(steps(owned), key=lambda each: ORDER[each.method]):
        before = step.ask(charlie)
        cache.forget_everything()
        places.seen = set()
        again = step.ask(charlie)
        for place in places.seen:
            if before == again:
                reach.setdefault(place, []).append((step, again))

    lives = {
        place for place in _least_harm_first(reach) if not _noticed(place, reach[place], charlie, places)
    }

    with capsys.disabled():
        sys.stdout.write(f"\n{len(reach)} filters taken away in turn, {len(reach) - len(lives)} noticed\n")
        sys.stdout.write("".join(f"{place}\n" for place in sorted(lives - set(UNNOTICED))))
    assert sorted(lives) == sorted(UNNOTICED)
    assert len(reach) > 30


def add_what_has_no_route(alice: Api, cast: Cast) -> None:
    """Rows of Alice's beside those that ``owned`` has: settings, figures, a key in use."""
    company = cast.company.pk
    assert alice.request("PUT", "/ai/privacy/policy/", json={"keep_days": 77}).status_code == 200
    assert (
        alice.request("PUT", "/ai/alerts/rules/cost_warning/", json={"threshold": "0.5"}).status_code == 200
    )
    quota = {"provider": "openai", "monthly_token_limit": 50}
    assert alice.request("PUT", "/ai/quotas/", json=quota).status_code == 200
    for row in Budget.objects.unscoped().filter(company=company, scope="provider"):
        # Made anew: of rows of the same name the last one is shown.
        BudgetWindow.objects.filter(budget=row).delete()
        Budget.objects.unscoped().filter(pk=row.pk).delete()
        row.pk, row.limit = None, 77
        row.save(force_insert=True)
    world.make_budget(cast.company, "77")
    forgetting.erase(company, "canary", None)
    Finding.objects.unscoped().create(
        company_id=company, brand=cast.brand, direction="input", action="flagged", hits=7, model="m"
    )
    providers.store_keys(company, {"openai": "sk-canary-0123456789-0123456789-0123456789"})


def _least_harm_first(reach: dict[str, list[tuple[Step, Any]]]) -> list[str]:
    """What is noticed by reading comes before what is noticed by a change."""
    return sorted(reach, key=lambda place: (ORDER[reach[place][0][0].method], place))


def _noticed(place: str, asked: list[tuple[Step, Any]], charlie: Api, places: Places) -> bool:
    places.gone = place
    try:
        for step, told in asked:
            cache.forget_everything()
            if step.ask(charlie) != told:
                return True
        return False
    finally:
        places.gone = ""
        cache.forget_everything()
