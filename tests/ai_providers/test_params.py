"""``params.clean``: defaults, renames, refusals, to the letter of the references."""

from __future__ import annotations

from typing import Any

import pytest

from ai_providers.catalogue import loading
from ai_providers.domain import params
from ai_providers.domain.params import Cleaned
from ai_providers.domain.spec import ModelSpec
from megahub.kernel import surfaces
from megahub.kernel.errors import (
    HubError,
    InvalidParameterForModel,
    UnknownParameter,
    ValidationFailed,
)

HELLO = [{"role": "user", "content": "Hello"}]
HELLO_IN_PARTS = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def spec_of(model: str) -> ModelSpec:
    return loading.models()[model]


def clean(model: str, *, with_defaults: bool = False, **given: Any) -> Cleaned:
    return params.clean(spec_of(model), {"messages": HELLO, **given}, with_defaults=with_defaults)


def refused(model: str, **given: Any) -> HubError:
    with pytest.raises(HubError) as caught:
        clean(model, **given)
    return caught.value


def said(error: HubError) -> dict[str, Any]:
    """The error's body on MEGAHUB's own surface."""
    return surfaces.megahub(error, str, "r")


def test_it_works() -> None:
    found = clean("gpt-4o", temperature=0.5, stream=True, stream_options={"include_usage": True})

    assert found == Cleaned({"messages": HELLO, "temperature": 0.5}, stream=True, include_usage=True)
    assert found.reasoning_effort is None


class TestErrorBodies:
    """The two bodies of megahub-endpoints.md."""

    def test_temperature_on_o3(self) -> None:
        error = refused("o3", temperature=0.7)

        assert (type(error), error.status, error.param) == (InvalidParameterForModel, 400, "temperature")
        body = said(error)
        requirements = body.pop("model_requirements")
        assert body == {
            "detail": "O3 models don't support temperature parameter",
            "error": "O3 models don't support temperature parameter",
            "error_code": "INVALID_PARAMETER_FOR_MODEL",
            "model": "o3",
            "invalid_params": ["temperature"],
            "suggested_params": ["reasoning_effort", "max_completion_tokens"],
        }
        assert requirements["required"] == ["reasoning_effort"]
        assert requirements["forbidden"][:1] == ["temperature"]
        assert requirements["optional"][:2] == ["max_completion_tokens", "tools"]
        assert set(requirements) == {"required", "forbidden", "optional"}

    def test_reasoning_effort_on_gpt_4o(self) -> None:
        error = refused("gpt-4o", reasoning_effort="high")

        assert (type(error), error.status, error.param) == (
            InvalidParameterForModel,
            400,
            "reasoning_effort",
        )
        body = said(error)
        requirements = body.pop("model_requirements")
        assert body == {
            "detail": "Model gpt-4o doesn't support reasoning_effort parameter",
            "error": "Model gpt-4o doesn't support reasoning_effort parameter",
            "error_code": "INVALID_PARAMETER_FOR_MODEL",
            "model": "gpt-4o",
            "invalid_params": ["reasoning_effort"],
            "suggested_params": ["temperature", "max_tokens"],
        }
        assert requirements["required"] == []
        assert requirements["forbidden"][:1] == ["reasoning_effort"]
        assert requirements["optional"][:3] == ["temperature", "max_tokens", "tools"]

    def test_requirements_of_o3(self) -> None:
        """The whole table once, so that what stands behind the documented names is known too."""
        assert params.requirements(spec_of("o3")) == {
            "required": ["reasoning_effort"],
            "forbidden": [
                "temperature",
                "top_p",
                "presence_penalty",
                "frequency_penalty",
                "logprobs",
                "top_logprobs",
                "logit_bias",
                "parallel_tool_calls",
                "stop",
                "verbosity",
            ],
            "optional": [
                "max_completion_tokens",
                "tools",
                "tool_choice",
                "response_format",
                "stream",
                "n",
                "seed",
                "metadata",
                "store",
                "user",
                "safety_identifier",
                "prompt_cache_key",
                "service_tier",
            ],
        }

    def test_several_at_once(self) -> None:
        error = refused("o3", top_p=0.5, temperature=0.5, stop="x")

        assert error.facts["invalid_params"] == ["top_p", "temperature", "stop"]
        assert said(error)["detail"] == "O3 models don't support top_p, temperature, stop parameter"

    @pytest.mark.parametrize("model", loading.models())
    def test_requirements_never_contradict_themselves(self, model: str) -> None:
        spec = spec_of(model)
        found = params.requirements(spec)

        required, forbidden, optional = (set(found[key]) for key in ("required", "forbidden", "optional"))
        assert not required & forbidden
        assert not required & optional
        assert not forbidden & optional
        assert required | optional <= set(spec.params)
        assert not set(params.suggested(spec)) & forbidden
        assert set(params.suggested(spec)) <= set(spec.params) | set(spec.renames)


class TestDefaults:
    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            ("o3", {"max_completion_tokens": 1000, "reasoning_effort": "medium"}),
            ("o3-mini", {"max_completion_tokens": 1000, "reasoning_effort": "medium"}),
            ("gpt-5", {"max_completion_tokens": 1000, "reasoning_effort": "medium"}),
            ("gpt-5.1", {"max_completion_tokens": 1000, "reasoning_effort": "none"}),
            ("gpt-6-luna", {"max_completion_tokens": 1000, "reasoning_effort": "medium"}),
            ("o1-mini", {"max_completion_tokens": 1000}),
            ("gpt-4.1", {"temperature": 1.0, "max_completion_tokens": 10_000}),
            ("gpt-4o", {"temperature": 0.7, "max_tokens": 1000}),
            ("gpt-4-turbo", {"temperature": 0.7, "max_tokens": 1000}),
            ("gpt-3.5-turbo", {"temperature": 0.7, "max_tokens": 1000}),
            ("mixtral", {"temperature": 0.5, "max_tokens": 1024}),
            ("moonshotai/Kimi-K2.6", {"max_completion_tokens": 4096}),
        ],
    )
    def test_by_family(self, model: str, expected: dict[str, Any]) -> None:
        """On MEGAHUB's own surfaces; a client of OpenAI's gets the provider's."""
        with_them = clean(model, with_defaults=True).params
        without = clean(model).params

        assert {name: value for name, value in with_them.items() if name != "messages"} == expected
        assert list(without) == ["messages"]

    def test_none_for_embeddings(self) -> None:
        found = params.clean(spec_of("text-embedding-3-small"), {"input": "a"}, with_defaults=True)

        assert found.params == {"input": "a"}

    @pytest.mark.parametrize(
        ("model", "name"),
        [
            ("gpt-4o", "temperature"),
            ("gpt-4o", "top_p"),
            ("gpt-4o", "presence_penalty"),
            ("gpt-4o", "frequency_penalty"),
            ("gpt-4o", "seed"),
            ("gpt-4.1", "temperature"),
            ("mixtral", "temperature"),
        ],
    )
    def test_an_explicit_zero_is_kept(self, model: str, name: str) -> None:
        found = clean(model, with_defaults=True, **{name: 0}).params

        assert (found[name], type(found[name])) == (0, int)

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n"])
    def test_a_zero_that_is_not_legal_is_refused(self, name: str) -> None:
        """Rather than taken for absent and replaced by the default."""
        error = refused("gpt-4o", with_defaults=True, **{name: 0})

        assert error.field_errors == {name: ["Must be at least 1."]}

    def test_false_is_kept(self) -> None:
        assert clean("gpt-4o", with_defaults=True, store=False).params["store"] is False

    def test_a_limit_is_not_added_to_another(self) -> None:
        """gpt-4o knows both names: the default is for who gives neither."""
        found = clean("gpt-4o", with_defaults=True, max_completion_tokens=5).params

        assert found == {"temperature": 0.7, "messages": HELLO, "max_completion_tokens": 5}

    def test_own_values_win(self) -> None:
        found = clean("o3", with_defaults=True, reasoning_effort="low", max_tokens=7).params

        assert found == {
            "messages": HELLO_IN_PARTS,
            "reasoning_effort": "low",
            "max_completion_tokens": 7,
        }

    def test_null_is_absent(self) -> None:
        found = clean("o3", with_defaults=True, reasoning_effort=None, max_completion_tokens=None)

        assert found == clean("o3", with_defaults=True)

    @pytest.mark.parametrize("model", ["o3", "gpt-4o", "gpt-4.1", "gpt-6-luna", "mixtral"])
    def test_null_is_absent_whatever_the_name(self, model: str) -> None:
        """Even that of a parameter which the model does not take, or nobody knows."""
        spec = spec_of(model)
        nulls = dict.fromkeys((*spec.params, *spec.forbidden, *spec.renames, "colour"))
        del nulls["messages"]

        assert clean(model, with_defaults=True, **nulls) == clean(model, with_defaults=True)

    def test_null_messages_are_missing(self) -> None:
        error = refused("gpt-4o", messages=None)

        assert error.field_errors == {"messages": ["This field is required."]}


class TestRenames:
    @pytest.mark.parametrize("model", ["o3", "gpt-4.1", "gpt-6-luna", "moonshotai/Kimi-K2.6"])
    def test_max_tokens_is_taken(self, model: str) -> None:
        found = clean(model, max_tokens=7).params

        assert found["max_completion_tokens"] == 7
        assert "max_tokens" not in found

    def test_the_other_way_round(self) -> None:
        """Infomaniak's first API knows the older name only."""
        assert clean("mixtral", max_completion_tokens=7).params["max_tokens"] == 7

    @pytest.mark.parametrize("model", ["gpt-4o", "gpt-3.5-turbo"])
    def test_legacy_keeps_either(self, model: str) -> None:
        assert clean(model, max_tokens=7).params["max_tokens"] == 7
        assert clean(model, max_completion_tokens=7).params["max_completion_tokens"] == 7

    @pytest.mark.parametrize(
        ("model", "old", "new"),
        [
            ("o3", "max_tokens", "max_completion_tokens"),
            ("gpt-4.1", "max_tokens", "max_completion_tokens"),
            ("gpt-4o", "max_tokens", "max_completion_tokens"),
            ("mixtral", "max_completion_tokens", "max_tokens"),
        ],
    )
    def test_both_are_too_many(self, model: str, old: str, new: str) -> None:
        error = refused(model, **{old: 5, new: 6})

        assert type(error) is ValidationFailed
        assert error.field_errors == {old: [f"Give either {old} or {new}, not both."]}
        assert error.param == old

    def test_both_may_agree(self) -> None:
        """Old clients send both to be sure; one of them leaves."""
        found = clean("o3", max_tokens=5, max_completion_tokens=5).params

        assert found == {"messages": HELLO_IN_PARTS, "max_completion_tokens": 5}

    @pytest.mark.parametrize("value", ["7", 0, 200_000, True, 1.5, [7]])
    def test_problems_have_the_callers_name(self, value: Any) -> None:
        assert list(refused("o3", max_tokens=value).field_errors or ()) == ["max_tokens"]
        assert refused("o3", max_tokens=value).param == "max_tokens"
        assert list(refused("o3", max_completion_tokens=value).field_errors or ()) == [
            "max_completion_tokens"
        ]

    def test_a_null_is_no_name_that_the_caller_used(self) -> None:
        error = refused("o3", max_tokens=None, max_completion_tokens="7")

        assert list(error.field_errors or ()) == ["max_completion_tokens"]


class TestUnknown:
    def test_by_name_with_what_is_near(self) -> None:
        error = refused("gpt-4o", temprature=1)

        assert type(error) is UnknownParameter
        body = said(error)
        suggestions = body.pop("suggestions")
        assert suggestions[0] == "temperature"
        assert sorted(suggestions) == sorted(spec_of("gpt-4o").params)
        assert body == {
            "detail": "Unknown parameter: temprature.",
            "error": "Unknown parameter: temprature.",
            "error_code": "UNKNOWN_PARAMETER",
            "model": "gpt-4o",
            "invalid_params": ["temprature"],
        }

    def test_several(self) -> None:
        error = refused("gpt-4o", colour=1, max_token=5)

        assert error.facts["invalid_params"] == ["colour", "max_token"]
        assert error.param == "colour"
        assert (error.suggestions or [])[0] == "max_tokens"

    def test_before_everything_else(self) -> None:
        """A name that nobody knows is told first: it may be what the rest suffers from."""
        assert type(refused("o3", colour=1, temperature=0.2, n="x")) is UnknownParameter

    @pytest.mark.parametrize("name", ["base_url", "api_key", "api_base", "headers", "extra_body", "proxy"])
    def test_where_to_is_not_the_callers_business(self, name: str) -> None:
        assert type(refused("gpt-4o", **{name: "http://127.0.0.1"})) is UnknownParameter
