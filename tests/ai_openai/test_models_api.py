"""``GET /ai/models/`` and ``GET /ai/models/{id}/schema/``."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ai_providers.catalogue import loading
from ai_providers.domain import forms, params
from megahub.kernel.errors import HubError
from tests.conftest import Api
from tests.world import Cast

URL = "/ai/models/"
MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT = [spec.id for spec in loading.models().values() if spec.kind == "chat"]


class TestList:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        answer = api.as_(cast.alice).get(URL).json()

        assert answer["count"] == len(answer["models"]) == len(loading.models())
        by_id = {row["id"]: row for row in answer["models"]}
        mini = by_id["gpt-4o-mini"]
        assert (mini["kind"], mini["callable"], mini["status"]) == ("chat", True, "deprecated")
        assert mini["schema_url"] == "/ai/models/gpt-4o-mini/schema/"
        assert by_id["gpt-3.5-turbo"]["callable"] is False
        assert by_id["claude-opus-5"]["callable"] is False

    def test_filters(self, api: Api, cast: Cast) -> None:
        query = "?kind=embeddings&provider=openai&status=active&generation=legacy"
        rows = api.as_(cast.alice).get(URL + query).json()["models"]
        assert rows
        for row in rows:
            assert (row["kind"], row["provider"], row["generation"]) == ("embeddings", "openai", "legacy")
        for bad in ("kind=text", "status=old", "generation=x", "nonsense=1"):
            assert api.as_(cast.alice).get(f"{URL}?{bad}").status_code == 400

    def test_an_etag_saves_the_answer(self, api: Api, cast: Cast) -> None:
        first = api.as_(cast.alice).get(URL)
        again = api.as_(cast.alice, if_none_match=first.headers["ETag"]).get(URL)

        assert (again.status_code, again.content) == (304, b"")
        assert api.as_(cast.alice, if_none_match='"other"').get(URL).status_code == 200

    def test_anonymous(self, api: Api) -> None:
        assert api.get(URL).status_code == 401
        assert api.get(f"{URL}o3/schema/").status_code == 401


class TestSchema:
    def test_it_works(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).get(f"{URL}gpt-4o-mini/schema/")

        schema = response.json()
        assert schema["required"] == ["messages"]
        assert schema["properties"]["temperature"] == {
            "description": "Sampling temperature.",
            "type": "number",
            "minimum": 0,
            "maximum": 2,
            "default": 0.7,
            "x-form": {
                "widget": "slider",
                "group": "basic",
                "order": schema["properties"]["temperature"]["x-form"]["order"],
                "step": 0.01,
            },
        }
        known = api.as_(cast.alice, if_none_match=response.headers["ETag"])
        assert known.get(f"{URL}gpt-4o-mini/schema/").status_code == 304
        assert known.get(f"{URL}gpt-4o/schema/").status_code == 200

    def test_an_id_with_a_slash(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).get(f"{URL}moonshotai/Kimi-K2.6/schema/")

        assert response.json()["properties"]["model"] == {"const": "moonshotai/Kimi-K2.6"}

    def test_an_unknown_model(self, api: Api, cast: Cast) -> None:
        response = api.as_(cast.alice).get(f"{URL}gpt-99/schema/")

        assert (response.status_code, response.json()["error_code"]) == (404, "MODEL_NOT_FOUND")


class TestAgreement:
    """A form that the schema lets through is not refused by the validator, and the other way round."""

    @pytest.mark.parametrize("model", loading.models())
    def test_it_is_a_schema(self, model: str) -> None:
        jsonschema.Draft202012Validator.check_schema(forms.schema(loading.models()[model]))

    @pytest.mark.parametrize("model", CHAT)
    def test_edges_of_every_parameter(self, model: str) -> None:
        spec = loading.models()[model]
        validator = jsonschema.Draft202012Validator(forms.schema(spec))
        bodies: list[dict[str, Any]] = [{}, {"nonsense": 1}, {"messages": []}]
        for name in {*spec.params, *spec.renames, *spec.forbidden} - {"messages", "stream_options"}:
            for value in (-3, -2, 0, 0.5, 1, 2, 2.5, 20, 21, True, "low", "none", "text", 10**9):
                bodies.append({name: value})
                bodies.append({name: value, "reasoning_effort": "none"})
        bodies += [{"max_tokens": 5, "max_completion_tokens": 6}]
        for body in bodies:
            whole = {"messages": MESSAGES, **body}
            if "stop" in body or "tool_choice" in body or "service_tier" in body:
                continue  # what is inside of them is the validator's alone
            assert validator.is_valid(whole) is accepted(model, whole), whole


def accepted(model: str, body: dict[str, Any]) -> bool:
    try:
        params.clean(loading.models()[model], body, with_defaults=True)
    except HubError:
        return False
    return True


def test_openais_list_and_its_entries_are_the_same(api: Api, cast: Cast) -> None:
    listed = api.as_(cast.alice).get("/v1/models").json()

    assert listed["object"] == "list"
    known = {model["id"]: model for model in listed["data"]}
    assert api.as_(cast.alice).get("/v1/models/gpt-4o-mini").json() == known["gpt-4o-mini"]
