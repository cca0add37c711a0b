"""Gates before calls: told to wait, failing, too many repeats; what waits costs no attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from ai_core import pipeline
from ai_core.domain.gates import RetryBudget
from ai_core.models import AIJob, Attempt, ProviderGate
from ai_core.services import gates, recovery
from ai_providers import selectors as providers
from megahub.kernel import cache, clock, loop
from megahub.kernel.errors import (
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
Rung = list[tuple[str, tuple[Any, ...], str]]
DOWN = ProviderUnavailable(provider="openai")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """This process remembers nothing of other tests."""
    gates._budgets["openai"] = RetryBudget(1.0, 0.0)
    yield
    gates._budgets.clear()


def later(cast: Cast, count: int) -> list[int]:
    short = {"max_completion_tokens": 5}
    return [world.submit(cast.alice, later=True, params=short).pk for _ in range(count)]


def run(pk: int) -> str:
    loop.run(pipeline.work(pk))
    return str(world.row(pk).status)


def run_all(pks: list[int]) -> None:
    """Every bell at once, as a worker with many slots hears them."""
    for future in [loop.start(pipeline.work(pk)) for pk in pks]:
        future.result(timeout=60)


def come_due(pks: list[int]) -> list[int]:
    """Let the moment come that the jobs wait for; those that do."""
    waiting = AIJob.objects.unscoped().filter(pk__in=pks, status="pending")
    waiting.update(run_at=clock.now() - timedelta(seconds=1))
    return list(waiting.values_list("pk", flat=True))


def gate_of(cast: Cast, model: str = "") -> ProviderGate:
    way = f"sandbox:{cast.company.pk}|openai"
    return ProviderGate.objects.get(key=f"{way}|{model}" if model else way)


def trip(key: str) -> None:
    """What a call does that finds its way failing."""
    gates._trip(key, gates._close(key, False), False)


def over(row: ProviderGate) -> None:
    """Let the gate's time be over, for every process."""
    ProviderGate.objects.filter(pk=row.pk).update(shut_until=clock.now() - timedelta(seconds=1))
    gates.refresh()


class TestRateLimits:
    def test_a_429_holds_all_jobs_of_the_credential(
        self, cast: Cast, rung: Rung, provider: Provider
    ) -> None:
        scripted = provider(RateLimited(retry_after=60, provider="openai"), completion())
        budget = world.make_budget(cast.company, "5")
        first, second = later(cast, 2)

        assert run(first) == "pending"
        held = world.row(second).holds
        assert run(second) == "pending"

        assert len(scripted.calls) == 1
        row = world.row(second)
        assert (row.attempt_no, row.unknown_attempts, row.started_at) == (0, 0, None)
        assert Attempt.objects.filter(job_id=second).count() == 0
        assert row.run_at > clock.now() + timedelta(seconds=50)
        assert row.ring_at == row.run_at
        window = world.window(budget)
        assert window is not None
        assert window.reserved == 2 * held[-1][2]
        over(gate_of(cast))
        come_due([second])
        assert run(second) == "completed"
        assert world.row(second).attempt_no == 1

    def test_who_cannot_wait_is_told_how_long(self, api: Api, cast: Cast, provider: Provider) -> None:
        scripted = provider(RateLimited(retry_after=60, provider="openai"))
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
        alice = api.as_(cast.alice)

        first, second = (alice.post("/v1/chat/completions", body) for _ in range(2))

        assert (first.status_code, second.status_code) == (429, 429)
        assert 50 < int(second.headers["retry-after"]) <= 60
        assert len(scripted.calls) == 1
        job = AIJob.objects.of(cast.company.pk).latest("pk")
        assert (job.status, Attempt.objects.get(job=job).phase) == ("failed", "failed")

    def test_another_credential_goes_on(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        scripted = provider(RateLimited(retry_after=60, provider="openai"), completion())
        (first,) = later(cast, 1)
        run(first)
        other = world.submit(cast.charlie, later=True).pk

        assert run(other) == "completed"
        assert len(scripted.calls) == 2

    def test_a_shorter_wait_does_not_shorten_a_longer_one(self, cast: Cast) -> None:
        way = f"sandbox:{cast.company.pk}|openai"
        gates._limit(way, 60.0)
        until = gate_of(cast).shut_until
        gates._limit(way, 1.0)

        assert gate_of(cast).shut_until == until


class TestBreaker:
    def test_a_provider_that_is_down_is_left_alone(
        self, cast: Cast, rung: Rung, provider: Provider
    ) -> None:
        """Provider down with 150 jobs waiting: some twenty calls, and all are completed afterwards."""
        answers: list[Any] = [DOWN]
        scripted = provider(lambda *_: _soon(answers[0]))
        budget = world.make_budget(cast.company, "5")
        pks = later(cast, 150)

        for _ in range(6):  # 15, 30, 60, 120, 240 seconds: five minutes and more
            run_all(come_due(pks))
            over(gate_of(cast, "gpt-4o-mini"))
        failed = len(scripted.calls)
        assert failed <= 40
        jobs = AIJob.objects.unscoped().filter(pk__in=pks)
        assert sum(jobs.values_list("attempt_no", flat=True)) == failed
        answers[0] = completion()
        for _ in range(40):
            if not (due := come_due(pks)):
                break
            run_all(due)
            gates.refresh()

        assert {world.row(pk).status for pk in pks} == {"completed"}
        assert len(scripted.calls) == failed + len(pks)
        window = world.window(budget)
        assert window is not None
        assert window.reserved == 0

    def test_an_outage_takes_no_attempt_from_the_job_that_probes(
        self, cast: Cast, rung: Rung, provider: Provider
    ) -> None:
        answers: list[Any] = [DOWN]
        provider(lambda *_: _soon(answers[0]))
        key = f"sandbox:{cast.company.pk}|openai|gpt-4o-mini"
        trip(key)
        (pk,) = later(cast, 1)
        for _ in range(9):
            over(gate_of(cast, "gpt-4o-mini"))
            come_due([pk])
            assert run(pk) == "pending"
        assert world.row(pk).attempt_no == 9
        answers[0] = completion()
        over(gate_of(cast, "gpt-4o-mini"))
        come_due([pk])

        assert run(pk) == "completed"
        assert Attempt.objects.filter(job_id=pk).count() == 10

    def test_one_probe_and_no_more(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        scripted = provider(DOWN)
        pks = later(cast, 8)
        for pk in pks[:5]:
            run(pk)
        row = gate_of(cast, "gpt-4o-mini")
        assert (row.state, row.hold_seconds, len(scripted.calls)) == ("open", 15.0, 5)
        over(row)

        run_all(pks[5:])

        assert len(scripted.calls) == 6
        row = gate_of(cast, "gpt-4o-mini")
        assert (row.state, row.hold_seconds) == ("open", 30.0)

    def test_the_first_process_decides_and_the_others_see(self, cast: Cast) -> None:
        key = f"sandbox:{cast.company.pk}|openai|gpt-4o-mini"
        trip(key)
        row = gate_of(cast, "gpt-4o-mini")
        gates._shut.clear()  # another process

        trip(key)

        assert ProviderGate.objects.get(key=key).shut_until == row.shut_until
        assert gates._shut[key].until == row.shut_until

    def test_only_one_process_takes_the_probe(self, cast: Cast) -> None:
        key = f"sandbox:{cast.company.pk}|openai|gpt-4o-mini"
        trip(key)
        over(gate_of(cast, "gpt-4o-mini"))
        seen = gates._shut[key]

        assert [gates._take_probe(key, seen), gates._take_probe(key, seen)] == [True, False]

    @pytest.mark.parametrize(
        "answer", [ProviderRefused(provider="openai", reason="no"), RateLimited(provider="openai")]
    )
    def test_a_provider_that_refuses_is_there(
        self, cast: Cast, rung: Rung, provider: Provider, answer: Exception
    ) -> None:
        provider(answer)
        for pk in later(cast, 25):
            run(pk)
            ProviderGate.objects.filter(key=f"sandbox:{cast.company.pk}|openai").delete()
            gates.refresh()

        key = f"sandbox:{cast.company.pk}|openai|gpt-4o-mini"
        assert not ProviderGate.objects.filter(key=key).exists()

    def test_half_of_twenty_failed(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        bad = ProviderError(provider="openai")
        provider(*[completion(), bad] * 15)
        pks = later(cast, 25)
        for pk in pks[:20]:
            run(pk)
        assert gate_of(cast, "gpt-4o-mini").state == "open"

        assert run(pks[20]) == "pending"
        assert world.row(pks[20]).attempt_no == 0

    def test_another_way_is_taken_at_once(
        self, cast: Cast, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A company's own way is shut, the hub's is not: nobody waits, and no attempt is spent."""
        scripted = provider(completion())
        job = world.submit(cast.alice)
        own = job.terms.accesses[0]
        other = providers._access("openai", "global", "http://127.0.0.1:9", "k", {}, None)
        object.__setattr__(job.terms, "accesses", (own, other))
        trip(f"{gates.way_of(job, own)}|{job.model}")

        loop.run(pipeline.run(job))

        assert [access.source for _, access, _ in scripted.calls] == ["global"]
        assert world.row(job).attempt_no == 1
        assert Attempt.objects.get(job_id=job.pk).source == "global"
        cache.forget_everything()

    def test_a_database_that_is_away_opens_no_door(
        self, cast: Cast, rung: Rung, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scripted = provider(DOWN)
        pks = later(cast, 7)

        def away(*_: Any, **__: Any) -> Any:
            raise OperationalError("away")

        monkeypatch.setattr(ProviderGate.objects, "get_or_create", away)
        for pk in pks:
            run(pk)

        assert len(scripted.calls) == 5
        gates.refresh()


class TestRepeats:
    def test_a_repeat_without_budget_waits(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        scripted = provider(ProviderError(provider="openai"), completion())
        (pk,) = later(cast, 1)
        run(pk)
        gates._budgets["openai"] = budget = RetryBudget(0.1, 1e12)
        budget.left = 0.0
        come_due([pk])

        assert run(pk) == "pending"

        row = world.row(pk)
        assert (row.attempt_no, len(scripted.calls)) == (1, 1)
        budget.left = 1.0
        come_due([pk])
        assert run(pk) == "completed"

    def test_a_cancelled_job_is_not_put_off(self, cast: Cast, rung: Rung, provider: Provider) -> None:
        provider(completion())
        way = f"sandbox:{cast.company.pk}|openai"
        gates._limit(way, 60.0)
        job = world.submit(cast.alice, later=True)
        claimed = gates.enter

        async def cancelled(*what: Any, **more: Any) -> Any:
            await loop.in_thread(
                AIJob.objects.unscoped().filter(pk=job.pk).update, cancel_requested_at=clock.now()
            )
            return await claimed(*what, **more)

        gates.enter = cancelled  # type: ignore[assignment]
        try:
            assert run(job.pk) == "cancelled"
        finally:
            gates.enter = claimed
        assert [entry.kind for entry in world.ledger(job)] == ["void"]
        assert Attempt.objects.get(job_id=job.pk).phase == "failed"

    def test_old_limits_are_forgotten(self, cast: Cast) -> None:
        gates._limit(f"sandbox:{cast.company.pk}|openai", 60.0)
        row = gate_of(cast)
        ProviderGate.objects.filter(pk=row.pk).update(shut_until=clock.now() - timedelta(hours=2))

        recovery.reap()

        assert not ProviderGate.objects.filter(pk=row.pk).exists()


async def _soon(answer: Any) -> Any:
    return answer
