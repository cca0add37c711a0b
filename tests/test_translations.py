"""English and French: the catalogue is whole, and both lanes speak by Accept-Language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import translation
from django.utils.translation import ngettext, pgettext

from ai_core.models import AIJob
from megahub.tenancy.models import ApiKey, Membership
from tests import world
from tests.conftest import Api
from tests.stubs import Scripted, completion
from tests.world import Cast
from tools import messages

Provider = Callable[..., Scripted]
CHAT = "/ai/openai/chat/"
V1 = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
NO_PAGE = "/ai/jobs/?page=7"
#: Errors of both lanes: method, path, body, and what is said in both languages.
REFUSALS: dict[str, tuple[str, str, Any, str, str]] = {
    "hot lane": (
        "POST",
        CHAT,
        {**BODY, "nonsense": 1},
        "Unknown parameter: nonsense.",
        "Paramètre inconnu: nonsense.",
    ),
    "hot lane, reasoning": (
        "POST",
        CHAT,
        {**BODY, "model": "o3", "temperature": 0.7},
        "O3 models don't support temperature parameter",
        "Les modèles O3 n'acceptent pas le paramètre temperature",
    ),
    "hot lane, body": (
        "POST",
        CHAT,
        [],
        "The request body must be a JSON object.",
        "Le corps de la requête doit être un objet JSON.",
    ),
    "ordinary lane": ("GET", NO_PAGE, None, "There is no page 7.", "Il n'y a pas de page 7."),
    "ordinary lane, filter": (
        "GET",
        "/ai/jobs/?nonsense=1",
        None,
        "Unknown filter: nonsense.",
        "Filtre inconnu: nonsense.",
    ),
    "ordinary lane, method": (
        "DELETE",
        "/ai/jobs/",
        None,
        'Method "DELETE" not allowed.',
        'Méthode "DELETE" non autorisée.',
    ),
    "no view": ("GET", "/ai/nothing/", None, "Not found.", "Introuvable."),
}


def refusal(api: Api, cast: Cast, name: str, language: str) -> Any:
    method, path, body, _, _ = REFUSALS[name]
    client = api.as_(cast.alice, accept_language=language)
    return client.request(method, path, **({} if body is None else {"json": body}))


class TestCatalogue:
    def test_it_is_complete_and_compiled(self) -> None:
        assert messages.problems() == []

    def test_every_kind_of_text_is_collected(self) -> None:
        found = messages.collected()

        assert found["", "The token has expired."].files == ["megahub/kernel/errors.py"]
        assert found["", "%d job cancelled."].plural == "%d jobs cancelled."
        assert ("model", "active") in found
        assert found["", "Price what has a price by now"].files == [
            "ai_usage/templates/ai_usage/unpriced.html"
        ]
        assert found["", "Welcome back to"].files == ["unfold/templates/admin/login.html"]
        # Django says these itself, in French as well.
        assert ("", "Log in") not in found

    def test_what_was_not_said_is_missed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = {**messages.collected(), ("", "Something new {x}."): messages.Said("", ["new.py"])}
        gone = said.pop(("", "The token has expired."))
        monkeypatch.setattr(messages, "collected", lambda: said)

        assert gone.plural == ""
        assert messages.problems() == [
            "no French for 'Something new {x}.' (new.py)",
            "nobody says 'The token has expired.' any more",
        ]

    def test_plurals_and_contexts(self) -> None:
        with translation.override("fr"):
            counted = [ngettext("%d job cancelled.", "%d jobs cancelled.", n) % n for n in (0, 1, 2)]
            active = pgettext("key", "active"), pgettext("model", "active")

        assert counted == ["0 job annulé.", "1 job annulé.", "2 jobs annulés."]
        assert active == ("active", "actif")


class TestErrors:
    @pytest.mark.parametrize("name", REFUSALS)
    def test_both_languages(self, api: Api, cast: Cast, name: str) -> None:
        english, french = (refusal(api, cast, name, language).json() for language in ("en", "fr"))

        *_, in_english, in_french = REFUSALS[name]
        assert (english["detail"], english["error"]) == (in_english, in_english)
        assert (french["detail"], french["error"]) == (in_french, in_french)
        # Nothing but the wording differs: the code and the facts are the clients' to read.
        for body in (english, french):
            assert body.pop("detail") == body.pop("error")
        assert english == french
        assert english["error_code"].isupper()

    def test_openais_surface(self, api: Api, cast: Cast) -> None:
        body = {**BODY, "model": "gpt-17"}

        error = api.as_(cast.alice, accept_language="fr").post(V1, body).json()["error"]

        assert error == {
            "message": "Le modèle 'gpt-17' n'existe pas ou ne vous est pas accessible.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }

    def test_without_a_token(self, api: Api) -> None:
        text = "Informations d'authentification non fournies."

        for path in (CHAT, "/ai/jobs/"):
            response = api.as_(None, accept_language="fr").get(path)

            assert response.status_code == 401
            assert response.json() == {"detail": text, "error": text, "error_code": "NOT_AUTHENTICATED"}


class TestFields:
    @pytest.mark.parametrize(
        ("change", "field", "text"),
        [
            ({"temperature": "hot"}, "temperature", "Doit être de type number."),
            ({"temperature": 3}, "temperature", "Doit être au plus 2."),
            ({"async": "yes"}, "async", "Doit être de type boolean."),
            ({"priority": "asap"}, "priority", "Doit figurer parmi low, normal, high, urgent."),
            ({"messages": []}, "messages", "Il faut au moins un message."),
            ({"messages": [{"role": "user"}]}, "messages[0].content", "Ce champ est obligatoire."),
            (
                {"tools": [{"type": "file_search"}]},
                "tools[0].type",
                "file_search appartenait à l'API Assistants, arrêtée le 2026-08-26. Utilisez une fonction.",
            ),
        ],
    )
    def test_hot_lane(self, api: Api, cast: Cast, change: dict[str, Any], field: str, text: str) -> None:
        response = api.as_(cast.alice, accept_language="fr").post(CHAT, {**BODY, **change})

        assert response.status_code == 400
        body = response.json()
        assert (body["detail"], body["error_code"]) == (
            "Certains champs ne sont pas valides.",
            "VALIDATION_ERROR",
        )
        assert body["field_errors"] == {field: [text]}
        assert not AIJob.objects.of(cast.company.pk).exists()

    def test_in_openais_words(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice, accept_language="fr").post(V1, {**BODY, "temperature": "hot"})

        text = "Certains champs ne sont pas valides. temperature: Doit être de type number."
        assert response.json()["error"]["message"] == text

    @pytest.mark.parametrize(
        ("query", "field", "text"),
        [
            ("page_size=0", "page_size", "Un nombre entier de 1 à 100."),
            ("ordering=colour", "ordering", "Tri impossible selon colour."),
            (
                "status=lost",
                "status",
                "Sélectionnez un choix valide. lost n’en fait pas partie.",  # django-filter's, Django's
            ),
        ],
    )
    def test_ordinary_lane(self, api: Api, cast: Cast, query: str, field: str, text: str) -> None:
        response = api.as_(cast.alice, accept_language="fr").get(f"/ai/jobs/?{query}")

        assert response.status_code == 400
        assert response.json()["field_errors"] == {field: [text]}

    def test_rest_frameworks_own(self, api: Api) -> None:
        client = api.as_(None, accept_language="fr")

        response = client.post("/auth/token/", {"username": "a" * 151, "password": ""})
        nothing = client.post("/auth/token/", {})

        assert response.status_code == 400
        assert response.json()["detail"] == "Certains champs ne sont pas valides."
        assert response.json()["field_errors"] == {
            "username": ["Assurez-vous que ce champ comporte au plus 150\xa0caractères."],
            "password": ["Ce champ ne peut être vide."],
        }
        required = ["Ce champ est obligatoire."]
        assert nothing.json()["field_errors"] == {"username": required, "password": required}

    def test_a_jobs_input_on_the_ordinary_lane(self, api: Api, cast: Cast) -> None:
        """The same rules as the hot lane's, told by Django's handler."""
        job = {"job_type": "chat_completion", "input_data": {**BODY, "temperature": "hot"}}

        response = api.as_(cast.alice, accept_language="fr").post("/ai/jobs/", job)

        assert response.json()["field_errors"] == {"temperature": ["Doit être de type number."]}


class TestChoice:
    """Which language an Accept-Language asks for, the same on both lanes."""

    @pytest.mark.parametrize(
        ("asked", "is_french"),
        [
            ("fr", True),
            ("FR-ch", True),
            ("de, fr;q=0.8", True),
            ("de, fr;q=0.8, en;q=0.9", False),
            ("en, fr;q=0.9", False),
            ("de", False),
            ("xx-YY, tlh;q=0.5", False),
            ("*", False),
            ("", False),
            ("fr;q=nonsense, ???", False),
        ],
    )
    @pytest.mark.parametrize("name", ["hot lane", "ordinary lane"])
    def test_it_works(self, api: Api, cast: Cast, name: str, asked: str, is_french: bool) -> None:
        *_, english, french = REFUSALS[name]

        assert refusal(api, cast, name, asked).json()["detail"] == (french if is_french else english)

    @pytest.mark.parametrize("name", ["hot lane", "ordinary lane"])
    def test_a_french_request_leaves_no_french_behind(self, api: Api, cast: Cast, name: str) -> None:
        method, path, body, english, french = REFUSALS[name]

        said = []
        for headers in ({"accept_language": "fr"}, {}, {"accept_language": "fr"}, {}):
            client = api.as_(cast.alice, **headers)
            answer = client.request(method, path, **({} if body is None else {"json": body}))
            said.append(answer.json()["detail"])

        assert said == [french, english, french, english]


class TestWhatIsStored:
    """Jobs keep their errors and warnings in no language; whoever reads them has their own."""

    def test_a_failed_jobs_error(self, api: Api, cast: Cast) -> None:
        text = "x [sandbox: status=401]"
        refused = api.as_(cast.alice).post(CHAT, {**BODY, "messages": [{"role": "user", "content": text}]})
        path = f"/ai/jobs/{job_id(cast)}/"

        assert refused.json()["error_code"] == "INVALID_API_KEY"
        english, french = (
            api.as_(cast.alice, accept_language=language).get(path).json() for language in ("en", "fr")
        )

        assert english["error_message"] == "openai refused the configured API key."
        assert french["error_message"] == "openai a refusé la clé d'API configurée."
        assert french["error"]["detail"] == french["error_message"]
        assert french["error"]["error_code"] == english["error"]["error_code"] == "INVALID_API_KEY"

    def test_warnings(self, api: Api, cast: Cast, provider: Provider) -> None:
        provider(completion())
        body = {**BODY, "model": "o1"}

        first = api.as_(cast.alice, idempotency_key="k", accept_language="fr").post(CHAT, body)
        again = api.as_(cast.alice, idempotency_key="k", accept_language="fr").post(CHAT, body)
        english = api.as_(cast.alice, idempotency_key="k").post(CHAT, body)
        detail = api.as_(cast.alice, accept_language="fr").get(f"/ai/jobs/{job_id(cast)}/")

        text = "Le modèle o1 a été arrêté par openai le 2026-10-23. Utilisez gpt-5.6-sol."
        told = {
            "code": "MODEL_RETIRED",
            "message": text,
            "model": "o1",
            "shutdown_date": "2026-10-23",
            "replacement": "gpt-5.6-sol",
        }
        assert again.headers["idempotency-replayed"] == "true"
        assert [answer.json()["warnings"] for answer in (first, again, detail)] == 3 * [[told]]
        # A header takes ASCII only: the letters stay, without their accents.
        plain = "Le modele o1 a ete arrete par openai le 2026-10-23. Utilisez gpt-5.6-sol."
        assert first.headers["x-megahub-warning"] == plain
        assert again.headers["x-megahub-warning"] == plain
        in_english = "Model o1 was shut down by openai on 2026-10-23; use gpt-5.6-sol."
        assert english.json()["warnings"] == [{**told, "message": in_english}]


def job_id(cast: Cast) -> str:
    return str(AIJob.objects.of(cast.company.pk).get().job_id)


class TestAdmin:
    def test_the_login_page(self) -> None:
        page = Client().get("/admin/login/", headers={"Accept-Language": "fr"}).text

        assert '<html lang="fr"' in page
        for text in ("Bienvenue sur", "Nom d’utilisateur", "Mot de passe", "Connexion", "Retour au site"):
            assert text in page
        for text in ("Welcome back to", "Username", "Password", "Log in", "Return to site"):
            assert text not in page

    def test_names_in_the_language_of_the_reader(self, cast: Cast) -> None:
        membership = Membership.objects.of(cast.company.pk).get(user=cast.bob.user)
        cast.alice.api_key()
        key = ApiKey.objects.of(cast.company.pk).get()
        budget = world.make_budget(cast.company, "5", scope="api_key", scope_value=str(key.pk))

        with translation.override("fr"):
            named = str(membership), str(budget)
            titles = [str(model._meta.verbose_name) for model in (AIJob, Membership)]
        said = f"{cast.bob.user.username} chez {cast.company.name} (Membre)"
        assert named == (said, f"Clé d'API {key.pk}, Mois, Coût (nano-USD)")
        assert titles == ["job", "appartenance"]

    def test_every_page_has_a_french_name(self) -> None:
        ours = [model for model in admin.site._registry if model._meta.app_label != "auth"]

        with translation.override("fr"):
            names = {str(model._meta.verbose_name_plural) for model in ours}

        assert "écritures du grand livre" in names
        assert len(names) == len(ours)
