"""The error tree: statuses and codes that never change, words from facts, stored and told again."""

from __future__ import annotations

import inspect
from typing import Any

import orjson
import pytest

from megahub.kernel import errors, surfaces
from megahub.kernel.errors import HubError, ValidationFailed, restore
from megahub.kernel.text import Text

#: megahub-shapes.md, the table of codes.
PROMISED = {
    "JOB_TYPE_NOT_FOUND": 400,
    "JOB_RUNNING": 409,
    "JOB_NOT_CANCELLABLE": 409,
    "INVALID_PARAMETER_FOR_MODEL": 400,
    "MODEL_NOT_FOUND": 404,
    "COST_LIMIT_EXCEEDED": 403,
    "O3_BUDGET_EXCEEDED": 403,
    "REASONING_QUOTA_EXCEEDED": 429,
    "QUOTA_EXCEEDED": 403,
    "NO_API_KEY": 400,
    "INVALID_API_KEY": 400,
    "RATE_LIMITED": 429,
    "BRAND_REQUIRED": 403,
}
TREE = [
    kind
    for kind in errors.type_registry.values()
    if kind.__module__ == errors.__name__ and kind.__name__ != "HubError"
]


def test_it_works() -> None:
    error = errors.ModelNotFound(param="model", model="gpt-9", available_models=["gpt-4o"])

    assert str(error) == "The model 'gpt-9' does not exist or you do not have access to it."
    assert (error.status, error.code, error.param) == (404, "MODEL_NOT_FOUND", "model")
    assert error.facts == {"model": "gpt-9", "available_models": ["gpt-4o"]}
    assert (error.retryable, error.outcome_unknown, error.retry_after) == (False, False, None)


@pytest.mark.parametrize(("code", "status"), PROMISED.items())
def test_codes_that_clients_know(code: str, status: int) -> None:
    (kind,) = (kind for kind in TREE if kind.code == code)

    assert kind.status == status


def test_codes_are_one_persons_each() -> None:
    codes = [kind.code for kind in TREE if kind is not errors.ServerError]

    assert sorted(set(codes)) == sorted(codes)
    assert errors.ServerError.code == HubError.code == "INTERNAL_ERROR"


def test_the_tree_at_the_top_of_the_file_is_whole() -> None:
    drawn = (inspect.getdoc(errors) or "").split("This module is pure")[0]

    assert [kind.__name__ for kind in TREE if kind.__name__ not in drawn] == []


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_children_have_their_parents_status(kind: type[HubError]) -> None:
    """But for server errors, where the status says who is to blame."""
    parent = kind.__mro__[1]
    assert issubclass(parent, HubError)
    if not issubclass(kind, errors.ServerError) and parent is not HubError:
        assert kind.status == parent.status


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_only_the_providers_and_limits_are_worth_another_try(kind: type[HubError]) -> None:
    assert kind.retryable is (
        issubclass(kind, errors.ProviderError | errors.RateLimited | errors.OutcomeUnknown)
    )
    if kind.outcome_unknown:
        assert kind.retryable


class TestWords:
    def test_lists_are_joined(self) -> None:
        assert str(errors.UnknownParameter(invalid_params=["a", "b"])) == "Unknown parameter: a, b."

    def test_what_is_missing_stays_visible(self) -> None:
        assert str(errors.UnknownParameter()) == "Unknown parameter: {invalid_params}."

    def test_words_fill_but_are_not_told(self) -> None:
        error = errors.MalformedBody(words={"reason": "it ends too soon"})

        assert str(error) == "The request body is not valid JSON: it ends too soon."
        assert error.facts == {}

    def test_facts_are_no_templates(self) -> None:
        """A caller's text with braces in it stays as it is."""
        error = errors.UnknownParameter(invalid_params=["{model}", "{0.__class__}"], model="x")

        assert str(error) == "Unknown parameter: {model}, {0.__class__}."

    def test_a_message_of_its_own(self) -> None:
        error = errors.NoApiKey("{provider} is switched off.", provider="openai")

        assert (str(error), error.message) == ("openai is switched off.", "{provider} is switched off.")
        assert str(errors.NoApiKey(provider="openai")) == "No API key is configured for openai."

    def test_translated(self) -> None:
        error = errors.NoApiKey(provider="openai")

        assert error.text("Keine Schlüssel für {provider}.") == "Keine Schlüssel für openai."

    def test_text_remembers_its_template(self) -> None:
        text = Text("Must be one of {choices}.", choices=("a", "b"))

        assert text == "Must be one of a, b."
        assert text.said("Nur {choices}!") == "Nur a, b!"


class TestStored:
    @pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
    def test_there_and_back(self, kind: type[HubError]) -> None:
        """Through JSON, as the job's row keeps it."""
        error = kind(
            param="n",
            retry_after=1.5,
            field_errors={"n": ["Must be at least 1."]},
            suggestions=["1"],
            words={"reason": "r"},
            model="o3",
            provider="openai",
        )

        again = restore(orjson.loads(orjson.dumps(error.as_data())))

        assert type(again) is kind
        assert again.as_data() == error.as_data()
        assert str(again) == str(error)
        for surface in (surfaces.megahub, surfaces.openai, surfaces.batch):
            assert surface(again, str, "r") == surface(error, str, "r")

    def test_only_what_is_there(self) -> None:
        assert errors.JobCancelled().as_data() == {
            "type": "JobCancelled",
            "status": 409,
            "code": "JOB_CANCELLED",
            "message": "The job was cancelled.",
        }

    def test_a_zero_is_something(self) -> None:
        assert errors.RateLimited(retry_after=0.0).as_data()["retry_after"] == 0.0

    def test_translated_later(self) -> None:
        """The template is stored, not the sentence: whoever reads it has a language of their own."""
        again = restore(errors.NoApiKey(provider="openai").as_data())

        assert again.text("Pas de clé pour {provider}.") == "Pas de clé pour openai."

    @pytest.mark.parametrize("data", [{}, {"type": "Gone", "message": "Once."}, {"type": ""}])
    def test_an_unknown_type(self, data: dict[str, Any]) -> None:
        """A type of an older or newer release: never a crash in a reader's request."""
        again = restore(data)

        assert type(again) is errors.ServerError
        assert str(again) == data.get("message", "An internal error occurred.")

    def test_texts_of_fields(self) -> None:
        error = ValidationFailed(field_errors={"n": [Text("Must be at least {limit}.", limit=1)]})

        assert orjson.loads(orjson.dumps(error.as_data()))["field_errors"] == {"n": ["Must be at least 1."]}
