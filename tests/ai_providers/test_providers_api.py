"""``/ai/providers/``: the list, one by number or name, and their health."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ai_providers import selectors, services
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain.wire import Access
from ai_providers.models import AIProvider, SealedKey
from megahub.kernel.errors import InvalidApiKey, ProviderUnavailable
from tests.conftest import Api
from tests.stubs import Scripted
from tests.world import Cast

URL = "/ai/providers/"
OWN = "sk-proj-own_key-0123456789"
FIELDS = {
    "id",
    "name",
    "display_name",
    "base_url",
    "supports_chat",
    "supports_assistants",
    "supports_files",
    "supports_vision",
    "default_model",
    "available_models",
    "rate_limit_rpm",
    "is_active",
}


class Listing(Scripted):
    """A provider whose list of models is what a test says: an answer, an error, or a wait."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer
        self.accesses: list[Access] = []

    async def models(self, access: Access) -> list[dict[str, Any]]:
        self.accesses.append(access)
        if callable(self.answer):
            await self.answer()
        if isinstance(self.answer, Exception):
            raise self.answer
        return []


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(answer: Any = None) -> Listing:
        listing = Listing(answer)
        monkeypatch.setitem(ADAPTERS, "openai", listing)
        return listing

    return put


def test_it_works(api: Api, cast: Cast) -> None:
    rows = api.as_(cast.alice).get(URL).json()

    assert [row["name"] for row in rows] == ["anthropic", "google", "infomaniak", "openai"]
    assert all(set(row) == FIELDS for row in rows)
    openai = rows[-1]
    assert openai["default_model"] == "gpt-4o"
    assert "gpt-4o-mini" in openai["available_models"]
    assert not any("gpt-4o-mini" in row["available_models"] for row in rows[:-1])


def test_one_by_number_and_name(api: Api, cast: Cast) -> None:
    row = AIProvider.objects.get(name="openai")

    by_name = api.as_(cast.alice).get(f"{URL}openai/")
    by_number = api.as_(cast.alice).get(f"{URL}{row.pk}/")

    assert by_name.status_code == 200
    assert by_name.json() == by_number.json()
    assert by_name.json()["id"] == row.pk
    for ref in ("nobody", "999999999", "9" * 40):
        response = api.as_(cast.alice).get(f"{URL}{ref}/")
        assert (response.status_code, response.json()["error_code"]) == (404, "NOT_FOUND")


def test_anonymous_and_unknown_filters(api: Api, cast: Cast) -> None:
    assert api.get(URL).status_code == 401
    assert api.get(f"{URL}health/").status_code == 401
    assert api.as_(cast.alice).get(f"{URL}?name=openai").status_code == 400


class TestHealth:
    def test_the_sandbox_answers_for_those_who_play(self, api: Api, cast: Cast) -> None:
        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert set(told) == {"anthropic", "google", "infomaniak", "openai"}
        for name in ("openai", "infomaniak"):
            assert told[name].pop("response_time_ms") >= 0
            assert told[name] == {"status": "healthy", "source": "sandbox"}
        assert told["google"]["status"] == "not_configured"

    def test_a_key_of_ones_own_is_tried_and_remembered_as_sound(
        self, api: Api, cast: Cast, openai: Any
    ) -> None:
        listing = openai()
        services.store_keys(cast.company.pk, {"openai": OWN})

        told = api.as_(cast.bob).get(f"{URL}health/").json()

        assert (told["openai"]["status"], told["openai"]["source"]) == ("healthy", "own")
        assert [access.api_key for access in listing.accesses] == [OWN]
        assert told["infomaniak"] == {
            "status": "not_configured",
            "error": "No API key is configured for infomaniak.",
            "error_code": "NO_API_KEY",
        }
        key = SealedKey.objects.of(cast.company.pk).get()
        assert key.validated_at is not None

    def test_a_refused_key_is_marked_and_cleared_again(self, api: Api, cast: Cast, openai: Any) -> None:
        services.store_keys(cast.company.pk, {"openai": OWN})
        openai(InvalidApiKey(provider="openai"))

        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert (told["openai"]["status"], told["openai"]["error_code"]) == ("error", "INVALID_API_KEY")
        assert OWN not in str(told)
        assert SealedKey.objects.of(cast.company.pk).get().refused_at is not None
        openai()
        api.as_(cast.alice).get(f"{URL}health/")
        assert SealedKey.objects.of(cast.company.pk).get().refused_at is None

    def test_one_that_cannot_be_reached(self, api: Api, cast: Cast, openai: Any) -> None:
        openai(ProviderUnavailable(provider="openai"))

        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert told["openai"] == {
            "status": "error",
            "source": "sandbox",
            "error": "openai cannot be reached.",
            "error_code": "PROVIDER_UNAVAILABLE",
        }
        assert told["infomaniak"]["status"] == "healthy"

    def test_a_silent_one_is_given_up(self, api: Api, cast: Cast, openai: Any, settings: Any) -> None:
        settings.HUB_PROBE_SECONDS = 0.05
        closed = []

        async def silence() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                closed.append(True)

        openai(silence)

        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert told["openai"]["error_code"] == "PROVIDER_TIMEOUT"
        assert closed == [True]

    def test_they_are_asked_at_once(
        self, api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        """Each answers only when the other was asked, too."""
        settings.HUB_PROBE_SECONDS = 5
        asked: list[str] = []

        async def wait() -> None:
            asked.append("here")
            while len(asked) < 2:
                await asyncio.sleep(0.01)

        for name in ("openai", "infomaniak"):
            monkeypatch.setitem(ADAPTERS, name, Listing(wait))

        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert [told[name]["status"] for name in ("openai", "infomaniak")] == ["healthy", "healthy"]

    def test_a_product_id_is_missing(self, api: Api, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"infomaniak": "x" * 40})

        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert told["infomaniak"]["status"] == "error"
        assert "infomaniak_product_id" in told["infomaniak"]["error"]

    def test_a_key_for_a_provider_that_the_hub_does_not_speak_to(self, api: Api, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"anthropic": "sk-ant-" + "a" * 20})

        told = api.as_(cast.alice).get(f"{URL}health/").json()

        assert (told["anthropic"]["status"], told["anthropic"]["error_code"]) == ("error", "NO_API_KEY")


def test_reasoning_models_can_be_switched_off(
    api: Api, cast: Cast, settings: Any, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(selectors.forget)
    settings.AI_ENABLE_O3 = False
    selectors.forget()

    response = api.as_(cast.alice).post(
        "/ai/openai/chat/", {"model": "o3", "messages": [{"role": "user", "content": "Hello"}]}
    )

    assert (response.status_code, response.json()["error_code"]) == (403, "MODEL_BLOCKED")
    listed = api.as_(cast.alice).get(f"{URL}openai/").json()["available_models"]
    assert "o3" not in listed
    assert "gpt-4o-mini" in listed
    shown = api.as_(cast.alice).get("/ai/openai/chat/").json()["models"]
    assert not any(model["id"] == "o3" for model in shown)
