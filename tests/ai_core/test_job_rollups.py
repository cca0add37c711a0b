"""Jobs counted by rollups: what is told is what the rows say, folded or not, whatever becomes of a job."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import Sum

from ai_core import pipeline, selectors
from ai_core.domain.states import ENDS, STATES
from ai_core.models import AIJob
from ai_core.selectors import dashboard
from ai_core.services import edit
from ai_core.services.claim import CLAIM, Take
from ai_usage.models import JobRemoval, JobRollup, LedgerEntry, RollupCursor
from ai_usage.selectors import job_days
from ai_usage.services import job_rollups, rollups
from megahub.kernel import journal, loop
from megahub.kernel.errors import JobRunning, ProviderUnavailable
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.usage import fold
from tests.world import Cast

Provider = Callable[..., Scripted]


def counted(cast: Cast) -> dict[str, int]:
    """The company's jobs by status, as the dashboard has them, those of no status left out."""
    found = job_days(cast.company.pk).aggregate(**{f"n_{name}": Sum(name) for name in STATES})
    return {name[2:]: number for name, number in found.items() if number}


def there(cast: Cast) -> dict[str, int]:
    """The same by the rows themselves."""
    rows = AIJob.objects.of(cast.company.pk).filter(deleted_at=None)
    return dict(Counter(rows.values_list("status", flat=True)))


def own_check(cast: Cast) -> list[Any]:
    return [off for off in job_rollups.check(by_day=True) if off.company_id == cast.company.pk]


def ran(cast: Cast, provider: Provider, answer: Any = None) -> AIJob:
    provider(answer or completion("Hi."))
    job = world.submit(cast.alice)
    loop.run(pipeline.finish(job))
    return world.row(job)


def every_state(cast: Cast, provider: Provider) -> dict[str, AIJob]:
    """A job in each state; of two that were made, one has been deleted."""
    made = {
        "completed": ran(cast, provider),
        "failed": ran(cast, provider, ProviderUnavailable(provider="openai")),
    }
    later = [world.submit(cast.alice, later=True) for _ in range(3)]
    loop.run(pipeline.cancel(later[0].pk, cast.company.pk))
    journal.write_and_wait(CLAIM, Take(later[1].pk, 1, 900))
    for name, job in zip(("cancelled", "running", "pending"), later, strict=True):
        made[name] = world.row(job)
        assert made[name].status == name
    edit.delete(ran(cast, provider))
    return made


def test_it_works(cast: Cast, provider: Provider, rung: Any) -> None:
    every_state(cast, provider)
    wanted = dict.fromkeys(("completed", "failed", "cancelled", "running", "pending"), 1)
    assert counted(cast) == there(cast) == wanted

    fold()

    assert counted(cast) == there(cast) == wanted
    (row,) = JobRollup.objects.of(cast.company.pk)
    assert {name: getattr(row, name) for name in job_rollups.SUMS} == {
        "jobs": 3, "completed": 1, "failed": 1, "cancelled": 1, "timeout": 0,
    }  # fmt: skip
    assert (row.brand_id, row.sandbox, own_check(cast)) == (cast.brand.pk, True, [])


def test_the_lists_of_a_status_are_found_by_their_own_index(
    cast: Cast, provider: Provider, rung: Any
) -> None:
    made = every_state(cast, provider)

    for status, job in made.items():
        rows = selectors.in_status(selectors.jobs_of(cast.company.pk), status)
        assert [row.pk for row in rows] == [job.pk]
        assert dashboard.in_status(cast.company.pk, cast.brand.pk, status) == 1
        assert dashboard.in_status(cast.company.pk, cast.charlie.brand.pk, status) == 0


def test_what_ends_or_goes_after_a_fold(cast: Cast, provider: Provider, rung: Any) -> None:
    made = every_state(cast, provider)
    fold()

    loop.run(pipeline.cancel(made["pending"].pk, cast.company.pk))
    edit.delete(made["failed"])
    for _ in range(2):
        assert counted(cast) == there(cast) == {"completed": 1, "cancelled": 2, "running": 1}
        fold()

    assert JobRemoval.objects.of(cast.company.pk).count() == 2
    assert own_check(cast) == []


def test_a_changed_book_is_the_jobs_own_at_its_end(cast: Cast, provider: Provider, rung: Any) -> None:
    """A pending job's input may be changed for a model of the other book: only what has ended is folded."""
    job = world.submit(cast.alice, later=True)
    fold()
    AIJob.objects.unscoped().filter(pk=job.pk).update(sandbox=False)
    loop.run(pipeline.cancel(job.pk, cast.company.pk))
    fold()

    assert list(JobRollup.objects.of(cast.company.pk).values_list("sandbox", "jobs")) == [(False, 1)]


def test_deleted_twice_is_deleted_once(cast: Cast, provider: Provider, rung: Any) -> None:
    job, waits = ran(cast, provider), world.submit(cast.alice, later=True)
    edit.delete(job)
    edit.delete(job)
    with pytest.raises(JobRunning):
        edit.delete(world.row(waits))

    assert list(JobRemoval.objects.of(cast.company.pk).values_list("job_id", flat=True)) == [job.pk]
    assert counted(cast) == there(cast) == {"pending": 1}


def test_what_was_never_counted_is_not_taken_away(cast: Cast, provider: Provider, rung: Any) -> None:
    """A job that ended without a closing entry, as only a hand in the database makes one."""
    ran(cast, provider)
    job = world.row(world.submit(cast.alice, later=True))
    AIJob.objects.of(cast.company.pk).filter(pk=job.pk).update(status="completed", ring_at=None)
    edit.delete(world.row(job.pk))
    fold()

    assert own_check(cast) == []
    assert counted(cast) == there(cast) == {"completed": 1}


def test_erased_texts_are_counted_on(api: Api, cast: Cast, provider: Provider) -> None:
    ran(cast, provider)
    fold()
    AIJob.objects.of(cast.company.pk).update(input_data={}, response=None, description="")

    assert api.as_(cast.alice).get("/ai/jobs/dashboard/").json()["stats"]["completed"] == 1


def test_rebuilt_and_checked(cast: Cast, provider: Provider, rung: Any) -> None:
    """A deletion whose removal is missing, and a rollup that says too much: told, and mended."""
    made = every_state(cast, provider)
    fold()
    wanted = list(JobRollup.objects.of(cast.company.pk).values_list(*job_rollups.SUMS))
    JobRollup.objects.of(cast.company.pk).update(completed=5)
    JobRemoval.objects.of(cast.company.pk).delete()

    (off,) = own_check(cast)
    assert off.figures == {"completed": 4}
    AIJob.objects.of(cast.company.pk).filter(pk=made["failed"].pk).update(
        deleted_at=made["failed"].created_at
    )
    (off,) = own_check(cast)
    assert (off.provider, off.model) == ("jobs", "chat_completion")
    assert off.figures == {"jobs": 1, "completed": 4, "failed": 1}
    assert off in rollups.check(by_day=True)

    call_command("rebuild_rollups", "--company", cast.company.slug, stdout=StringIO())
    assert own_check(cast) == []
    assert counted(cast) == there(cast) == {"completed": 1, "cancelled": 1, "running": 1, "pending": 1}
    fold()
    (found,) = JobRollup.objects.of(cast.company.pk).values_list(*job_rollups.SUMS)
    assert (found[0], wanted[0][0]) == (2, 3)


def test_jobs_of_before_are_folded_by_beat(cast: Cast, provider: Provider, rung: Any) -> None:
    """After the migration the cursor of jobs stands at nought: what ended before is folded in steps."""
    every_state(cast, provider)
    fold()
    before = list(JobRollup.objects.of(cast.company.pk).values_list(*job_rollups.SUMS))
    JobRollup.objects.unscoped().delete()
    RollupCursor.objects.update(job_entry_id=0, removal_id=0)

    assert counted(cast) == there(cast)
    rollups.fold(timedelta(0), at_once=50)
    assert counted(cast) == there(cast)
    assert list(JobRollup.objects.of(cast.company.pk).values_list(*job_rollups.SUMS)) == before


def test_true_while_jobs_end_and_beats_fold(cast: Cast, provider: Provider, rung: Any) -> None:
    """Each answer tells of all the jobs that there are: none is counted twice or missed on its way."""
    jobs = [world.submit(cast.alice, later=True) for _ in range(12)]
    done, seen = threading.Event(), []

    def look() -> None:
        try:
            while not done.is_set():
                seen.append(sum(counted(cast).values()))
        finally:
            connection.close()

    def fold_on() -> None:
        try:
            while not done.is_set():
                rollups.fold(timedelta(0))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for work in (look, fold_on)]
    for thread in threads:
        thread.start()
    for job in jobs:
        loop.run(pipeline.cancel(job.pk, cast.company.pk))
    done.set()
    for thread in threads:
        thread.join(timeout=60)

    assert set(seen) == {12}
    assert counted(cast) == there(cast) == {"cancelled": 12}


def test_every_end_is_a_closing(cast: Cast, provider: Provider, rung: Any) -> None:
    """What the counting rests on: a job that has ended has one closing entry, another one has none."""
    every_state(cast, provider)

    for job in AIJob.objects.of(cast.company.pk):
        closings = LedgerEntry.objects.of(cast.company.pk).filter(
            job_id=job.pk, kind__in=("settle", "void")
        )
        assert closings.count() == int(job.status in ENDS)
