"""Fair share: companies take turns, priorities are kept within each, and whoever waits long enough goes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.domain.turns import HANDICAP_SECONDS, place
from ai_core.models import AIJob, WorkerSession
from ai_core.services.claim import Claimed, Take
from ai_core.services.turns import TURN, Turn
from megahub.kernel import clock, journal, loop, scope
from tests import world
from tests.stubs import Scripted, completion
from tests.world import Cast, Person

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]


@pytest.fixture(autouse=True)
def alone(database: None) -> None:
    """Nothing of other tests waits."""
    AIJob.objects.unscoped().filter(status="pending").update(ring_at=None)
    TURN.after = 0


def waiting(person: Person, count: int, priority: str = "normal", since: float = 10) -> list[int]:
    """So many jobs of that person that wait since so many seconds, the first longest."""
    first = world.submit(person, later=True, priority=priority)
    row = world.row(first)
    copies = []
    for number in range(1, count):
        copy = deepcopy(row)
        copy.pk, copy.job_id, copy.holds = None, f"{row.job_id}-{number}", []
        copies.append(copy)
    AIJob.objects.unscoped().bulk_create(copies, batch_size=5000)
    jobs = AIJob.objects.unscoped().filter(job_id__startswith=row.job_id).order_by("pk")
    moment = clock.now() - timedelta(seconds=since)
    jobs.update(run_at=moment, ring_at=clock.now() + timedelta(minutes=5))
    return list(jobs.values_list("pk", flat=True))


def session() -> int:
    return int(WorkerSession.objects.create(kind="worker", host="here", pid=1).pk)


def turn(bell: int) -> int | None:
    """The job that a bell leads to."""
    claimed = journal.write_and_wait(TURN, Take(bell, session(), 900))
    return None if claimed is None else int(claimed.pk)


def test_it_works(cast: Cast, rung: Rung) -> None:
    (pk,) = waiting(cast.alice, 1)

    assert turn(pk) == pk
    assert turn(pk) is None
    assert world.row(pk).status == "running"


def test_many_jobs_of_one_company_delay_another_by_one_turn(cast: Cast, rung: Rung) -> None:
    """Thousands wait, and every bell that will be heard for long is theirs."""
    theirs = waiting(cast.alice, 3_000, since=3600)
    (single,) = waiting(cast.charlie, 1, since=0)

    assert single in [turn(theirs[0]), turn(theirs[1])]


def test_companies_take_turns(cast: Cast, rung: Rung) -> None:
    a, c = waiting(cast.alice, 4, since=60), waiting(cast.charlie, 3, since=1)

    served = [turn(a[-1]) for _ in range(6)]

    companies = ["a" if pk in a else "c" for pk in served]
    assert companies in (list("acacac"), list("cacaca"))
    assert [pk for pk in served if pk in a] == a[:3]
    assert [pk for pk in served if pk in c] == c


def test_a_group_of_bells_is_shared(cast: Cast, rung: Rung) -> None:
    a, c = waiting(cast.alice, 10, since=60), waiting(cast.charlie, 3, since=1)
    takes = [Take(pk, session(), 900) for pk in a[:6]]

    taken = _written(takes)

    assert len([pk for pk in taken if pk in c]) == 3
    assert len([pk for pk in taken if pk in a]) == 3


def test_urgent_first_low_last(cast: Cast, rung: Rung) -> None:
    by_name = {name: waiting(cast.alice, 2, name)[0] for name in ("low", "normal", "high", "urgent")}
    bell = by_name["low"]

    order = [turn(bell) for _ in range(6)]

    priorities = [world.row(pk).priority for pk in order if pk is not None]
    assert priorities == ["urgent", "urgent", "high", "high", "normal", "normal"]


def test_low_is_not_starved(cast: Cast, rung: Rung) -> None:
    (low,) = waiting(cast.alice, 1, "low", since=HANDICAP_SECONDS["low"] + 60)
    (urgent, _) = waiting(cast.alice, 2, "urgent", since=0)

    assert turn(urgent) == low


def test_nothing_runs_before_its_time(cast: Cast, rung: Rung) -> None:
    (due, later) = waiting(cast.alice, 2)
    AIJob.objects.unscoped().filter(pk=later).update(run_at=clock.now() + timedelta(hours=1))

    assert turn(later) is None
    assert [turn(due), turn(due)] == [due, None]


def test_two_processes_take_no_job_twice(cast: Cast, rung: Rung) -> None:
    pks = waiting(cast.alice, 4)
    other = Turn()

    taken = [turn(pks[0]), turn(pks[1])]
    claimed = journal.write_and_wait(other, Take(pks[2], session(), 900))

    assert isinstance(claimed, Claimed)
    assert len({*taken, claimed.pk}) == 3


def test_a_bell_goes_on_until_its_own_job_is_taken(cast: Cast, rung: Rung, provider: Provider) -> None:
    scripted = provider(completion())
    a, (single,) = waiting(cast.alice, 3, since=60), waiting(cast.charlie, 1, since=0)

    loop.run(pipeline.turn(a[2]))

    assert world.row(a[2]).status == "completed"
    assert world.row(single).status == "completed"
    assert len(scripted.calls) == 4
    loop.run(pipeline.turn(single))
    assert len(scripted.calls) == 4


def test_places() -> None:
    assert place("urgent", 100.0) < place("high", 100.0) < place("normal", 100.0) < place("low", 100.0)
    assert place("low", 0.0) < place("urgent", 3601.0)


def _written(takes: list[Take]) -> list[int]:
    """What one group of the journal gives to these bells."""
    with world.session() as opened, opened.transaction(scope.EVERYBODY):
        found = TURN.write(opened, takes)
    return [job.pk for job in found if job is not None]
