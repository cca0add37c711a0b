"""Whose key is used: the company's own, the hub's when opted in, the sandbox; and falling over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ai_core import pipeline
from ai_core.models import Attempt
from ai_providers import selectors, services
from ai_providers.models import AIProvider, SealedKey
from megahub.kernel import loop
from megahub.kernel.errors import (
    HubError,
    NoApiKey,
    ProviderError,
    ProviderRefused,
    ProviderTimeout,
    RateLimited,
    ValidationFailed,
)
from tests import world
from tests.stubs import Scripted, chunk, completion
from tests.world import Cast

Provider = Callable[..., Scripted]
OWN = "sk-proj-own_key-0123456789"
HUBS = "sk-proj-the-hubs-key-0123456789"


@pytest.fixture
def hub_key(settings: Any) -> Any:
    """The hub has a key of its own for OpenAI."""
    providers = {name: dict(facts) for name, facts in settings.HUB_PROVIDERS.items()}
    providers["openai"]["api_key"] = HUBS
    settings.HUB_PROVIDERS = providers
    selectors.forget()
    yield
    selectors.forget()


def sources(cast: Cast) -> list[tuple[str, str]]:
    selectors.forget()
    found = selectors.accesses(cast.company.pk, "openai")
    return [(access.source, access.api_key) for access in found]


class TestWhoseKey:
    def test_without_any_the_sandbox_plays(self, cast: Cast) -> None:
        assert sources(cast) == [("sandbox", "sk-sandbox")]

    def test_the_companys_own_goes_first_and_ends_the_play(self, cast: Cast, hub_key: None) -> None:
        services.store_keys(cast.company.pk, {"openai": OWN})
        assert sources(cast) == [("own", OWN)]

        services.store_keys(cast.company.pk, {}, use_global_fallback=True)
        assert sources(cast) == [("own", OWN), ("global", HUBS)]

    def test_the_hubs_key_is_only_for_those_who_opted_in(self, cast: Cast, hub_key: None) -> None:
        assert [source for source, _ in sources(cast)] == ["sandbox"]
        services.store_keys(cast.company.pk, {}, use_global_fallback=True)
        assert sources(cast) == [("global", HUBS)]

    def test_a_real_key_for_one_provider_ends_the_play_for_all(self, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"infomaniak": "x" * 40})

        with pytest.raises(NoApiKey):
            sources(cast)

    def test_a_company_that_does_not_play(self, cast: Cast) -> None:
        cast.company.use_sandbox = False
        cast.company.save(update_fields=["use_sandbox"])

        with pytest.raises(NoApiKey):
            sources(cast)

    def test_a_provider_that_was_switched_off(self, cast: Cast) -> None:
        AIProvider.objects.filter(name="openai").update(is_active=False)
        try:
            with pytest.raises(NoApiKey, match="switched off"):
                sources(cast)
        finally:
            AIProvider.objects.filter(name="openai").update(is_active=True)


class TestStoredKeys:
    def test_removing_and_replacing_keep_the_old_ones_sealed(self, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OWN})
        services.store_keys(cast.company.pk, {"openai": f"{OWN}-2"})
        services.store_keys(cast.company.pk, {"openai": ""})
        assert sources(cast) == [("own", f"{OWN}-2")]

        services.store_keys(cast.company.pk, {"openai": None})

        rows = SealedKey.objects.of(cast.company.pk).order_by("pk")
        assert [(row.last_four, row.retired_at is None) for row in rows] == [
            ("6789", False),
            ("89-2", False),
        ]
        assert all(OWN.encode() not in bytes(row.sealed) for row in rows)

    @pytest.mark.parametrize("key", ["sk-short", "nonsense", "sk-" + "x" * 400, "sk-a b" * 5])
    def test_a_key_of_the_wrong_form_is_refused_without_an_echo(self, cast: Cast, key: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            services.store_keys(cast.company.pk, {"openai": key})

        assert refused.value.field_errors == {
            "openai_api_key": ["This does not look like a key of openai."]
        }
        assert key not in str(refused.value.as_data())
        assert not SealedKey.objects.of(cast.company.pk).exists()

    def test_a_swapped_row_does_not_open(self, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OWN})
        services.store_keys(cast.charlie.company.pk, {"openai": f"{OWN}-theirs"})
        theirs = SealedKey.objects.of(cast.charlie.company.pk).get()
        SealedKey.objects.of(cast.company.pk).update(sealed=theirs.sealed)

        with pytest.raises(NoApiKey, match="cannot be opened"):
            sources(cast)

    def test_a_key_is_for_the_address_it_was_stored_for(self, cast: Cast) -> None:
        """Whoever moves the provider's address does not get the keys sent there."""
        services.store_keys(cast.company.pk, {"openai": OWN})
        AIProvider.objects.filter(name="openai").update(base_url="https://evil.example/v1")
        try:
            with pytest.raises(NoApiKey, match="cannot be opened"):
                sources(cast)
        finally:
            AIProvider.objects.filter(name="openai").update(base_url="")


class TestFallingOver:
    @pytest.fixture
    def both(self, cast: Cast, hub_key: None) -> Cast:
        services.store_keys(cast.company.pk, {"openai": OWN}, use_global_fallback=True)
        return cast

    def test_it_works(self, both: Cast, provider: Provider) -> None:
        scripted = provider(RateLimited(provider="openai"), completion())

        job = world.submit(both.alice)
        loop.run(pipeline.run(job))

        assert [access.source for _, access, _ in scripted.calls] == ["own", "global"]
        assert [name[-2:] for _, _, name in scripted.calls] == ["-1", "-2"]
        row = world.row(job)
        assert (row.status, row.attempt_no, row.sandbox) == ("completed", 2, False)
        attempts = Attempt.objects.filter(job=row).order_by("attempt_no")
        assert list(attempts.values_list("source", "phase", "error_code")) == [
            ("own", "failed", "RATE_LIMITED"),
            ("global", "done", None),
        ]
        assert len(world.ledger(job)) == 1

    def test_not_after_the_first_word(self, both: Cast, provider: Provider) -> None:
        scripted = provider([chunk("Once"), ProviderError(provider="openai")], completion())

        job = world.submit(both.alice, params={"stream": True})
        with pytest.raises(ProviderError):
            loop.run(pipeline.run(job))

        assert len(scripted.calls) == 1

    def test_not_for_what_another_key_cannot_mend(self, both: Cast, provider: Provider) -> None:
        scripted = provider(ProviderRefused(provider="openai", words={"reason": "no"}))

        job = world.submit(both.alice)
        with pytest.raises(HubError):
            loop.run(pipeline.run(job))

        assert len(scripted.calls) == 1

    def test_the_last_error_is_the_jobs(self, both: Cast, provider: Provider) -> None:
        scripted = provider(RateLimited(provider="openai"), ProviderError(provider="openai"))

        job = world.submit(both.alice)
        with pytest.raises(ProviderError):
            loop.run(pipeline.run(job))

        assert len(scripted.calls) == 2
        assert world.row(job).error["code"] == "PROVIDER_ERROR"

    def test_a_call_that_may_have_been_done_is_repeated_once_in_all(
        self, both: Cast, provider: Provider, rung: Any
    ) -> None:
        scripted = provider(*[ProviderTimeout(provider="openai")] * 4)

        job = world.submit(both.alice, later=True)
        loop.run(pipeline.work(job.pk))

        assert len(scripted.calls) == 2
        row = world.row(job)
        assert (row.status, row.attempt_no, row.unknown_attempts) == ("timeout", 2, 1)

    def test_not_where_tools_may_have_acted(self, both: Cast, provider: Provider) -> None:
        scripted = provider(*[ProviderTimeout(provider="openai")] * 2)
        job = world.submit(both.alice)
        job.call.params["tools"] = [{"type": "mcp", "server_url": "x"}]

        with pytest.raises(ProviderTimeout):
            loop.run(pipeline.run(job))

        assert len(scripted.calls) == 1


def test_real_and_played_jobs_are_never_in_one_window(cast: Cast, provider: Provider) -> None:
    provider(completion())
    budget = world.make_budget(cast.company, "5")
    loop.run(pipeline.run(world.submit(cast.alice)))
    services.store_keys(cast.company.pk, {"openai": OWN})

    loop.run(pipeline.run(world.submit(cast.alice)))

    played, real = world.window(budget, sandbox=True), world.window(budget, sandbox=False)
    assert played is not None
    assert real is not None
    assert played.spent == real.spent > 0


def test_a_job_accepted_for_the_sandbox_spends_no_real_money(
    cast: Cast, provider: Provider, rung: Any
) -> None:
    scripted = provider(completion())
    budget = world.make_budget(cast.company, "5")
    job = world.submit(cast.alice, later=True)
    services.store_keys(cast.company.pk, {"openai": OWN})

    loop.run(pipeline.work(job.pk))

    assert scripted.calls == []
    row = world.row(job)
    assert (row.status, row.error["code"]) == ("failed", "CREDENTIALS_CHANGED")
    window = world.window(budget)
    assert window is not None
    assert (window.reserved, window.spent) == (0, 0)
