"""What becomes of calls: counted by outcome, timed, the limits told, a refused key of one's own marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ai_core import pipeline
from ai_core.services.sessions import PROCESS
from ai_providers import selectors, services
from ai_providers.models import SealedKey
from megahub.kernel import clock, loop
from megahub.kernel.errors import InvalidApiKey, ProviderError
from tests import world
from tests.ai_core.test_cancel import wait_until
from tests.stubs import Scripted, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
GOOD, REFUSED = "sk-proj-good-0123456789", "sk-refused-0123456789"


class Figures:
    """What the metrics have counted since this was made."""

    def __init__(self) -> None:
        self.before = self._read()

    @staticmethod
    def _read() -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        samples = [sample for family in REGISTRY.collect() for sample in family.samples]
        for sample in samples:
            label = sample.labels
            if sample.name == "megahub_provider_calls_total":
                found[label["provider"], label["source"], label["outcome"]] = sample.value
            elif sample.name.startswith("megahub_provider_call_seconds_") and label["provider"] == "openai":
                found[(sample.name.rpartition("_")[2],)] = sample.value
        return found

    def since(self) -> dict[tuple[str, ...], float]:
        now = self._read()
        return {key: value - self.before.get(key, 0) for key, value in now.items()}

    @property
    def calls(self) -> dict[tuple[str, ...], float]:
        """By (provider, source, outcome)."""
        return {key: value for key, value in self.since().items() if len(key) == 3 and value}


@pytest.fixture(autouse=True)
def on_the_servers_loop(live_url: str) -> None:
    """Which closes its connections to providers when it ends."""


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def real(sandbox_url: str, settings: Any) -> Iterator[Callable[..., None]]:
    """OpenAI is where the sandbox listens; ``real(hub_key)`` gives the hub a key for it."""
    facts = {name: dict(facts) for name, facts in settings.HUB_PROVIDERS.items()}
    facts["openai"]["base_url"] = f"{sandbox_url}/v1"
    settings.HUB_PROVIDERS = facts
    selectors.forget()

    def give(hub_key: str) -> None:
        facts["openai"]["api_key"] = hub_key

    yield give
    selectors.forget()


def key_of(cast: Cast) -> SealedKey:
    return SealedKey.objects.of(cast.company.pk).get()


def remaining(what: str) -> float | None:
    return REGISTRY.get_sample_value("megahub_provider_remaining", {"provider": "openai", "what": what})


def test_it_works(cast: Cast, sandbox_url: str, figures: Figures) -> None:
    job = world.submit(cast.alice, "[sandbox: delay=100ms] Hello")
    loop.run(pipeline.run(job))

    assert figures.calls == {("openai", "sandbox", "ok"): 1}
    since = figures.since()
    assert since["count",] == 1
    assert since["sum",] >= 0.1


def test_a_call_that_is_cancelled(cast: Cast, provider: Provider, figures: Figures) -> None:
    provider([30.0])
    job = world.submit(cast.alice, params={"stream": True})
    running = loop.start(pipeline.finish(job))
    wait_until(lambda: job.pk in PROCESS.running and job.access is not None)

    loop.run(pipeline.cancel(job.pk, cast.company.pk))

    running.result(timeout=5)
    assert figures.calls == {("openai", "sandbox", "cancelled"): 1}
    assert figures.since()["count",] == 1


def test_every_attempt_counts(
    cast: Cast, provider: Provider, figures: Figures, real: Callable[..., None]
) -> None:
    real(GOOD)
    services.store_keys(cast.company.pk, {"openai": GOOD}, use_global_fallback=True)
    provider(ProviderError(provider="openai"), completion())

    loop.run(pipeline.run(world.submit(cast.alice)))

    assert figures.calls == {("openai", "own", "provider_error"): 1, ("openai", "global", "ok"): 1}


class TestRefusedKeys:
    def test_a_companys_own_is_marked(
        self, cast: Cast, figures: Figures, real: Callable[..., None]
    ) -> None:
        services.store_keys(cast.company.pk, {"openai": REFUSED})
        services.store_keys(cast.charlie.company.pk, {"openai": REFUSED})
        before = clock.now()

        with pytest.raises(InvalidApiKey):
            loop.run(pipeline.run(world.submit(cast.alice)))

        assert figures.calls == {("openai", "own", "invalid_api_key"): 1}
        marked = key_of(cast).refused_at
        assert marked is not None
        assert before <= marked <= clock.now()
        theirs = SealedKey.objects.of(cast.charlie.company.pk).get()
        assert theirs.refused_at is None

    @pytest.mark.parametrize("fault", ["status=500", "status=429", "quota", "context"])
    def test_another_error_leaves_it(self, cast: Cast, real: Callable[..., None], fault: str) -> None:
        services.store_keys(cast.company.pk, {"openai": GOOD})

        loop.run(pipeline.finish(job := world.submit(cast.alice, f"[sandbox: {fault}] Hello")))

        assert job.error is not None
        assert key_of(cast).refused_at is None

    def test_the_hubs_own_is_no_row(self, cast: Cast, figures: Figures, real: Callable[..., None]) -> None:
        """Nor is a stored key marked that was not used: here one for another provider."""
        real(REFUSED)
        services.store_keys(cast.company.pk, {"infomaniak": "x" * 40}, use_global_fallback=True)

        with pytest.raises(InvalidApiKey):
            loop.run(pipeline.run(world.submit(cast.alice)))

        assert figures.calls == {("openai", "global", "invalid_api_key"): 1}
        assert key_of(cast).refused_at is None

    def test_nor_is_the_sandboxs(self, cast: Cast, sandbox_url: str, figures: Figures) -> None:
        with pytest.raises(InvalidApiKey):
            loop.run(pipeline.run(world.submit(cast.alice, "[sandbox: status=401] Hello")))

        assert figures.calls == {("openai", "sandbox", "invalid_api_key"): 1}


class TestRemaining:
    @pytest.fixture(autouse=True)
    def unknown(self) -> None:
        """-1, which the sandbox never says."""
        for what in ("requests", "tokens"):
            pipeline.calls.REMAINING.labels("openai", what).set(-1)

    def test_of_the_hubs_key_it_is_told(self, cast: Cast, real: Callable[..., None]) -> None:
        real(GOOD)
        services.store_keys(cast.company.pk, {}, use_global_fallback=True)

        loop.run(pipeline.run(world.submit(cast.alice)))

        assert (remaining("requests"), remaining("tokens")) == (9999, 29999900)

    def test_of_a_companys_key_it_is_its_own_affair(self, cast: Cast, real: Callable[..., None]) -> None:
        services.store_keys(cast.company.pk, {"openai": GOOD})

        loop.run(pipeline.run(world.submit(cast.alice)))

        assert (remaining("requests"), remaining("tokens")) == (-1, -1)
