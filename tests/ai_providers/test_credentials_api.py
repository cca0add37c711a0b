"""``/ai/credentials/``: keys go in and never come out."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_providers import selectors, services
from ai_providers.models import AICredentials, SealedKey
from megahub.kernel import loop
from megahub.kernel.errors import InvalidApiKey, ProviderUnavailable
from megahub.tenancy.models import Membership
from megahub.tenancy.selectors import forget_callers
from tests.conftest import Api
from tests.stubs import completion
from tests.world import Cast

URL = "/ai/credentials/"
HISTORY = f"{URL}history/"
TEST = f"{URL}test_connection/"
OPENAI = "sk-proj-a_b-C0123456789wxyz"
OTHER = "sk-proj-a_b-C0123456789efgh"
ANTHROPIC = "sk-ant-api03-0123456789_-abcd"
GOOGLE = "AIzaSy0123456789_-0123456789ijkl"
INFOMANIAK = "Ab0_-" * 16
NOTHING = {
    "has_openai_key": False,
    "has_anthropic_key": False,
    "has_google_key": False,
    "has_infomaniak_key": False,
    "last_four": {},
    "refused": [],
    "use_global_fallback": False,
    "openai_organization": "",
    "infomaniak_product_id": "",
}


def opened(cast: Cast) -> dict[str, str]:
    """The keys in use, as calls would send them."""
    live = selectors.live_keys(cast.company.pk)
    return {name: key.open(selectors.base_url_of(name)) for name, key in live.items()}


class TestRead:
    def test_nothing_is_stored_yet(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.bob).get(URL)

        assert response.status_code == 200
        assert response.json() == {
            "id": None,
            "company": {"id": cast.company.pk, "name": cast.company.name},
            **NOTHING,
            "created_at": None,
            "updated_at": None,
        }

    def test_it_works(self, api: Api, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI}, infomaniak_product_id="42")
        row = AICredentials.objects.of(cast.company.pk).get()

        told = api.as_(cast.alice).get(URL).json()

        assert told.pop("created_at")
        assert told.pop("updated_at")
        assert told == {
            "id": row.pk,
            "company": {"id": cast.company.pk, "name": cast.company.name},
            **NOTHING,
            "has_openai_key": True,
            "last_four": {"openai": "wxyz"},
            "infomaniak_product_id": "42",
        }
        by_number = api.as_(cast.alice).get(f"{URL}{row.pk}/")
        assert by_number.json()["last_four"] == {"openai": "wxyz"}

    def test_strangers(self, api: Api, cast: Cast) -> None:
        row = services.store_keys(cast.company.pk, {"openai": OPENAI})

        assert api.get(URL).status_code == 401
        assert api.as_(cast.charlie).get(URL).json()["id"] is None
        absent = api.as_(cast.charlie).get(f"{URL}999999999/")
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            body = {} if method == "GET" else {"json": {}}
            foreign = api.as_(cast.charlie).request(method, f"{URL}{row.pk}/", **body)
            assert (foreign.status_code, foreign.content) == (404, absent.content)
        assert opened(cast) == {"openai": OPENAI}


class TestWrite:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        body = {
            "openai_api_key": OPENAI,
            "anthropic_api_key": ANTHROPIC,
            "google_api_key": GOOGLE,
            "infomaniak_api_key": INFOMANIAK,
            "infomaniak_product_id": "100234",
            "openai_organization": "org-1",
            "use_global_fallback": True,
        }

        response = api.as_(cast.alice).post(URL, body)

        assert response.status_code == 200
        told = response.json()
        assert told["message"] == "Credentials updated successfully"
        assert told["providers_configured"] == ["openai", "anthropic", "google", "infomaniak"]
        assert all(told[f"has_{name}_key"] for name in told["providers_configured"])
        assert told["use_global_fallback"] is True
        assert opened(cast) == {
            "openai": OPENAI,
            "anthropic": ANTHROPIC,
            "google": GOOGLE,
            "infomaniak": INFOMANIAK,
        }
        for key in (OPENAI, ANTHROPIC, GOOGLE, INFOMANIAK):
            assert key not in response.text
            assert key[-5:] not in response.text

    def test_a_key_is_used_at_once(self, api: Api, cast: Cast) -> None:
        assert loop.run(selectors.terms(cast.company.pk, "gpt-4o-mini")).is_sandbox

        api.as_(cast.alice).post(URL, {"openai_api_key": OPENAI})

        (access,) = loop.run(selectors.terms(cast.company.pk, "gpt-4o-mini")).accesses
        assert access.api_key == OPENAI

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    def test_empty_and_absent_leave_null_removes(self, api: Api, cast: Cast, method: str) -> None:
        row = services.store_keys(
            cast.company.pk, {"openai": OPENAI, "google": GOOGLE, "anthropic": ANTHROPIC}
        )
        url = URL if method == "POST" else f"{URL}{row.pk}/"

        body = {"openai_api_key": "", "google_api_key": None}
        response = api.as_(cast.alice).request(method, url, json=body)

        assert response.status_code == 200
        assert response.json()["providers_configured"] == ["openai", "anthropic"]
        assert opened(cast) == {"openai": OPENAI, "anthropic": ANTHROPIC}
        assert response.json()["id"] == row.pk

    def test_spaces_around_a_key_are_no_part_of_it(self, api: Api, cast: Cast) -> None:
        api.as_(cast.alice).post(URL, {"openai_api_key": f"  {OPENAI}\n"})

        assert opened(cast) == {"openai": OPENAI}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("openai_api_key", "pk-not-a-key-0123456789"),
            ("openai_api_key", "sk-short"),
            ("openai_api_key", "sk-proj-with space-0123456789"),
            ("openai_api_key", "sk-" + "a" * 500),
            ("openai_api_key", {"key": "sk-proj-0123456789012345"}),
            ("anthropic_api_key", "sk-proj-0123456789012345"),
            ("google_api_key", "sk-proj-0123456789012345"),
            ("infomaniak_api_key", "secret!secret!secret!secret!"),
            ("infomaniak_product_id", "../../admin"),
            ("openai_organization", "org\r\nX-Evil: 1"),
            ("use_global_fallback", "perhaps"),
            ("use_global_fallback", None),
        ],
    )
    def test_a_wrong_form_is_named_and_not_echoed(
        self, api: Api, cast: Cast, field: str, value: Any
    ) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})

        response = api.as_(cast.alice).post(URL, {"google_api_key": GOOGLE, field: value})

        assert (response.status_code, response.json()["error_code"]) == (400, "VALIDATION_ERROR")
        assert set(response.json()["field_errors"]) == {field}
        if isinstance(value, str) and field.endswith("_api_key"):
            assert value not in response.text
        assert opened(cast) == {"openai": OPENAI}

    def test_every_wrong_key_is_named(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).post(URL, {"openai_api_key": "x", "google_api_key": "y"})

        assert set(response.json()["field_errors"]) == {"openai_api_key", "google_api_key"}

    @pytest.mark.parametrize("field", ["openai_base_url", "base_url", "company", "azure_endpoint", "id"])
    def test_what_is_nobodys_to_set(self, api: Api, cast: Cast, field: str) -> None:
        response = api.as_(cast.alice).post(URL, {"openai_api_key": OPENAI, field: "https://evil.test"})

        assert (response.status_code, response.json()["invalid_params"]) == (400, [field])
        assert opened(cast) == {}

    def test_members_and_weak_keys_may_not(self, api: Api, cast: Cast) -> None:
        row = services.store_keys(cast.company.pk, {"openai": OPENAI})
        weak = cast.alice.api_key("inference", "usage:read")
        strong = cast.alice.api_key("credentials:manage")

        for who in (cast.bob, weak):
            for method, url in (
                ("POST", URL),
                ("PUT", f"{URL}{row.pk}/"),
                ("DELETE", f"{URL}{row.pk}/"),
                ("GET", HISTORY),
                ("POST", TEST),
            ):
                response = api.as_(who).request(method, url, json={"openai_api_key": OTHER})
                assert (response.status_code, response.json()["error_code"]) == (403, "SCOPE_MISSING")
        assert opened(cast) == {"openai": OPENAI}
        assert api.as_(strong).post(URL, {"openai_api_key": OTHER}).status_code == 200
        Membership.objects.of(cast.company.pk).filter(user=cast.bob.user).update(role="admin")
        forget_callers()
        assert api.as_(cast.bob).post(URL, {"openai_api_key": OPENAI}).status_code == 200


class TestDelete:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        row = services.store_keys(
            cast.company.pk, {"openai": OPENAI}, use_global_fallback=True, infomaniak_product_id="7"
        )

        response = api.as_(cast.alice).request("DELETE", f"{URL}{row.pk}/")

        assert (response.status_code, response.content) == (204, b"")
        assert api.as_(cast.alice).get(f"{URL}{row.pk}/").status_code == 404
        told = api.as_(cast.alice).get(URL).json()
        assert {name: told[name] for name in NOTHING} == NOTHING
        assert told["id"] is None
        (past,) = api.as_(cast.alice).get(HISTORY).json()["results"]
        assert (past["last_four"], past["retired_by"]["id"]) == ("wxyz", cast.alice.user.pk)
        assert loop.run(selectors.terms(cast.company.pk, "gpt-4o-mini")).is_sandbox

        again = api.as_(cast.alice).post(URL, {"openai_api_key": OTHER}).json()
        assert again["providers_configured"] == ["openai"]
        assert (again["use_global_fallback"], again["infomaniak_product_id"]) == (False, "")


class TestHistory:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        api.as_(cast.alice).post(URL, {"openai_api_key": OPENAI})
        api.as_(cast.alice).post(URL, {"openai_api_key": OTHER, "google_api_key": GOOGLE})

        answer = api.as_(cast.alice).get(HISTORY).json()

        assert answer["count"] == 3
        who = {"id": cast.alice.user.pk, "username": cast.alice.user.username}
        old = next(row for row in answer["results"] if not row["is_live"])
        assert old == {
            "id": old["id"],
            "provider": "openai",
            "last_four": "wxyz",
            "is_live": False,
            "created_at": old["created_at"],
            "created_by": who,
            "retired_at": old["retired_at"],
            "retired_by": who,
            "refused_at": None,
            "validated_at": None,
        }
        assert old["retired_at"] > old["created_at"]
        assert {row["last_four"] for row in answer["results"] if row["is_live"]} == {"efgh", "ijkl"}
        # The old key is still there, encrypted.
        row = SealedKey.objects.of(cast.company.pk).get(pk=old["id"])
        assert row.open(selectors.base_url_of("openai")) == OPENAI

    def test_filters_and_ordering(self, api: Api, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI, "google": GOOGLE})
        services.store_keys(cast.company.pk, {"openai": OTHER})

        def found(query: str) -> list[str]:
            rows = api.as_(cast.alice).get(f"{HISTORY}?{query}").json()["results"]
            return [row["last_four"] for row in rows]

        assert found("ordering=id") == ["wxyz", "ijkl", "efgh"]
        assert found("provider=openai&ordering=id") == ["wxyz", "efgh"]
        assert found("is_live=false") == ["wxyz"]
        assert found("is_live=true&ordering=provider") == ["ijkl", "efgh"]
        assert found("created_at__lte=2020-01-01") == []
        assert found("created_at__gte=2020-01-01&ordering=id") == ["wxyz", "ijkl", "efgh"]
        assert found("created_at__gte=2999-01-01") == []

    @pytest.mark.parametrize(
        "query",
        ["provider=nobody", "is_live=perhaps", "created_at__gte=soon", "x=1", "ordering=sealed", "page=x"],
    )
    def test_a_bad_query_is_refused_by_name(self, api: Api, cast: Cast, query: str) -> None:
        response = api.as_(cast.alice).get(f"{HISTORY}?{query}")

        assert response.status_code == 400
        assert query.split("=", maxsplit=1)[0] in response.text

    def test_strangers(self, api: Api, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})

        assert api.get(HISTORY).status_code == 401
        assert api.as_(cast.charlie).get(HISTORY).json()["count"] == 0

    def test_the_number_of_queries_does_not_grow(self, cast: Cast) -> None:
        for key in (OPENAI, OTHER, OPENAI):
            services.store_keys(cast.company.pk, {"openai": key}, by=cast.alice.user.pk)
        client = Client(headers={"Authorization": f"Bearer {cast.alice.token}"})
        client.get(HISTORY)

        with CaptureQueriesContext(connection) as queries:
            assert client.get(HISTORY).json()["count"] == 3

        assert len(queries) == 2  # the count, and the page with its people


class TestConnection:
    def test_it_works(self, api: Api, cast: Cast, provider: Any) -> None:
        scripted = provider(completion("O", prompt=9, output=1))
        services.store_keys(cast.company.pk, {"openai": OPENAI})

        response = api.as_(cast.alice).post(TEST, {"provider": "openai"})

        told = response.json()
        assert response.status_code == 200
        assert told.pop("response_time_ms") >= 0
        model = told.pop("model_tested")
        assert told.pop("cost_usd").startswith("0.0000")
        assert told == {
            "success": True,
            "provider": "openai",
            "source": "own",
            "message": "The connection works.",
            "tokens_used": 10,
        }
        ((call, access, _),) = scripted.calls
        assert (access.api_key, call.model) == (OPENAI, model)
        assert 1 in (call.params.get("max_tokens"), call.params.get("max_completion_tokens"))
        assert SealedKey.objects.of(cast.company.pk).get().validated_at is not None

    @pytest.mark.parametrize("name", ["openai", "infomaniak"])
    def test_the_sandbox_is_called_for_real(self, api: Api, cast: Cast, name: str) -> None:
        told = api.as_(cast.alice).post(TEST, {"provider": name}).json()

        assert (told["success"], told["source"]) == (True, "sandbox")
        assert told["tokens_used"] > 0

    def test_a_refused_key_is_marked_and_then_sound_again(
        self, api: Api, cast: Cast, provider: Any
    ) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        provider(InvalidApiKey(provider="openai"), completion())

        first = api.as_(cast.alice).post(TEST, {"provider": "openai"})

        assert first.status_code == 200
        assert first.json() == {
            "success": False,
            "provider": "openai",
            "source": "own",
            "error": "openai refused the configured API key.",
            "error_code": "INVALID_API_KEY",
            "last_validated": None,
        }
        assert api.as_(cast.alice).get(URL).json()["refused"] == ["openai"]
        assert api.as_(cast.alice).post(TEST, {"provider": "openai"}).json()["success"] is True
        assert api.as_(cast.alice).get(URL).json()["refused"] == []

    def test_one_that_cannot_be_reached(self, api: Api, cast: Cast, provider: Any) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})
        provider(ProviderUnavailable(provider="openai"))

        told = api.as_(cast.alice).post(TEST, {"provider": "openai"}).json()

        assert (told["success"], told["error_code"]) == (False, "PROVIDER_UNAVAILABLE")
        assert SealedKey.objects.of(cast.company.pk).get().refused_at is None

    def test_without_a_key(self, api: Api, cast: Cast) -> None:
        services.store_keys(cast.company.pk, {"openai": OPENAI})

        told = api.as_(cast.alice).post(TEST, {"provider": "infomaniak"}).json()

        assert told == {
            "success": False,
            "provider": "infomaniak",
            "error": "No API key is configured for infomaniak.",
            "error_code": "NO_API_KEY",
        }

    @pytest.mark.parametrize("body", [{}, {"provider": "nobody"}, {"provider": None}, {"provider": [1]}])
    def test_bad_input(self, api: Api, cast: Cast, body: Any) -> None:
        response = api.as_(cast.alice).post(TEST, body)

        assert response.status_code == 400
        assert set(response.json()["field_errors"]) == {"provider"}

    def test_known_names_are_suggested(self, api: Api, cast: Cast) -> None:
        told = api.as_(cast.alice).post(TEST, {"provider": "nobody"}).json()

        assert told["suggestions"] == ["anthropic", "google", "infomaniak", "openai"]


def test_a_job_that_is_refused_says_when_the_key_was_last_sound(
    api: Api, cast: Cast, provider: Any
) -> None:
    services.store_keys(cast.company.pk, {"openai": OPENAI})
    provider(completion(), InvalidApiKey(provider="openai"))
    api.as_(cast.alice).post(TEST, {"provider": "openai"})

    response = api.as_(cast.alice).post(
        "/ai/openai/chat/", {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
    )

    told = response.json()
    assert (response.status_code, told["error_code"]) == (400, "INVALID_API_KEY")
    assert told["last_validated"] is not None


def test_in_french(api: Api, cast: Cast) -> None:
    client = api.as_(cast.alice, accept_language="fr")

    stored = client.post(URL, {"use_global_fallback": False}).json()
    wrong = client.post(TEST, {"provider": "nobody"}).json()

    assert stored["message"] == "Identifiants mis à jour"
    assert wrong["field_errors"]["provider"] == [
        "Fournisseur inconnu; l'un de ceux-ci: anthropic, google, infomaniak, openai."
    ]
