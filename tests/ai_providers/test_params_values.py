"""``params.clean``: types, ranges, choices and conditions of every parameter of every model."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ai_providers.catalogue import loading
from ai_providers.domain import params
from ai_providers.domain.spec import ModelSpec, ParamRule
from megahub.kernel import surfaces
from megahub.kernel.errors import HubError, InvalidParameterForModel, ValidationFailed

#: Something of each type that JSON has.
SAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "object": {"a": 1},
    "array": ["a"],
}
#: A legal value of what a kind of model needs.
NEEDED: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
    "completions": {"prompt": "Hello"},
    "embeddings": {"input": "Hello"},
    "moderations": {"input": "Hello"},
    "responses": {"input": "Hello"},
    "image": {"prompt": "A cat"},
    "transcription": {"file": "a.wav"},
    "speech": {"input": "Hello", "voice": "alloy"},
}
TOOL = {"type": "function", "function": {"name": "f"}}

each_model = pytest.mark.parametrize("spec", loading.models().values(), ids=lambda spec: spec.id)


def spec_of(model: str) -> ModelSpec:
    return loading.models()[model]


def clean(model: str, **given: Any) -> dict[str, Any]:
    spec = spec_of(model)
    return params.clean(spec, {**NEEDED[spec.kind], **given}, with_defaults=False).params


def refused(model: str, **given: Any) -> HubError:
    """What is raised; the body that was given is as it was before."""
    before = copy.deepcopy(given)
    with pytest.raises(HubError) as caught:
        clean(model, **given)
    assert given == before
    return caught.value


def wrong_values(rule: ParamRule) -> list[Any]:
    """Values of every type that the rule does not have."""
    kinds = {*rule.types, *(("integer",) if "number" in rule.types else ())}
    return [copy.deepcopy(value) for kind, value in SAMPLES.items() if kind not in kinds]


def condition(rule: ParamRule) -> dict[str, Any]:
    """What must be said beside a parameter so that it is taken at all."""
    return {other: values[0] for other, values in rule.needs.items()}


def test_it_works() -> None:
    error = refused("gpt-4o", temperature="hot")

    assert type(error) is ValidationFailed
    assert surfaces.megahub(error, str, "r") == {
        "detail": "Some fields are not valid.",
        "error": "Some fields are not valid.",
        "error_code": "VALIDATION_ERROR",
        "field_errors": {"temperature": ["Expected number."]},
    }


def rules_of(spec: ModelSpec) -> list[ParamRule]:
    """The rules of a model's parameters; a file may be anything."""
    return [rule for rule in spec.params.values() if "any" not in rule.types]


@each_model
def test_wrong_types(spec: ModelSpec) -> None:
    """Each is refused, under the parameter's name; one that is held to a value is refused as such."""
    for rule in rules_of(spec):
        for value in wrong_values(rule):
            error = refused(spec.id, **{**condition(rule), rule.name: value})
            if rule.only and value not in rule.only:
                assert type(error) is InvalidParameterForModel
                assert error.facts["invalid_params"] == [rule.name]
                continue
            assert type(error) is ValidationFailed, (rule.name, value)
            found = dict(error.field_errors or {})
            if rule.needs:
                found.pop("reasoning_effort", None)  # where the condition itself cannot be met
            assert found == {rule.name: [f"Expected {' | '.join(rule.types)}."]}, (rule.name, value)


@each_model
def test_wrong_types_under_the_older_name(spec: ModelSpec) -> None:
    for old, new in spec.renames.items():
        for value in wrong_values(spec.params[new]):
            error = refused(spec.id, **{old: value})
            assert type(error) is ValidationFailed
            assert error.field_errors == {old: ["Expected integer."]}
            assert error.param == old


@each_model
def test_ranges(spec: ModelSpec) -> None:
    """The bounds themselves are inside, the next value is outside, and told so."""
    for rule in rules_of(spec):
        step = 1 if rule.types == ("integer",) else 0.001
        for bound, outside, words in (
            (rule.minimum, -step, "Must be at least {}."),
            (rule.maximum, step, "Must be at most {}."),
        ):
            if bound is None or rule.only:
                continue
            name, shown = rule.name, int(bound) if bound == int(bound) else bound
            assert clean(spec.id, **{**condition(rule), name: bound})[name] == bound
            error = refused(spec.id, **{**condition(rule), name: bound + outside})
            assert error.field_errors == {name: [words.format(shown)]}


@each_model
def test_choices(spec: ModelSpec) -> None:
    """A closed choice takes its own, and tells them when it refuses."""
    for rule in rules_of(spec):
        if not rule.choices:
            continue
        for choice in rule.choices:
            assert clean(spec.id, **{rule.name: choice})[rule.name] == choice
        error = refused(spec.id, **{rule.name: "nothing of the kind"})
        assert type(error) is ValidationFailed
        assert error.suggestions == list(rule.choices)
        assert error.field_errors == {
            rule.name: [f"'nothing of the kind' is not one of {', '.join(rule.choices)}."]
        }
        assert refused(spec.id, **{rule.name: rule.choices[0].upper() + " "}).field_errors is not None


@each_model
def test_forbidden(spec: ModelSpec) -> None:
    """By name, whatever the value; and all of them at once."""
    for name in spec.forbidden:
        for value in (*SAMPLES.values(), 0, False, ""):
            error = refused(spec.id, **{name: copy.deepcopy(value)})
            assert type(error) is InvalidParameterForModel
            assert error.facts["invalid_params"] == [name]
            assert error.param == name
    if spec.forbidden:
        error = refused(spec.id, **dict.fromkeys(spec.forbidden, 1))
        assert error.facts["invalid_params"] == list(spec.forbidden)


@each_model
def test_held_to_one_value(spec: ModelSpec) -> None:
    for name, rule in spec.params.items():
        for value in rule.only:
            assert clean(spec.id, **{name: value})[name] == value
            assert refused(spec.id, **{name: value + 1}).facts["invalid_params"] == [name]


@each_model
def test_required(spec: ModelSpec) -> None:
    with pytest.raises(ValidationFailed) as caught:
        params.clean(spec, {}, with_defaults=True)

    assert caught.value.field_errors == {
        name: ["This field is required."] for name in spec.required if name != "model"
    }


@pytest.mark.parametrize(
    ("model", "effort", "taken"),
    [
        ("o3", "low", True),
        ("o3", "none", False),
        ("o3", "minimal", False),
        ("gpt-5", "minimal", True),
        ("gpt-5", "none", False),
        ("gpt-5.1", "minimal", False),
        ("gpt-5.1", "none", True),
        ("gpt-5.2", "xhigh", True),
        ("gpt-5.1", "xhigh", False),
        ("gpt-6-luna", "max", True),
        ("gpt-6-astra", "none", False),
        ("moonshotai/Kimi-K2.6", "none", True),
        ("moonshotai/Kimi-K2.6", "max", False),
    ],
)
def test_efforts(model: str, effort: str, taken: bool) -> None:
    if taken:
        assert clean(model, reasoning_effort=effort)["reasoning_effort"] == effort
        return
    error = refused(model, reasoning_effort=effort)
    assert error.suggestions == list(spec_of(model).reasoning_efforts)


def test_several_problems_are_told_together() -> None:
    error = refused("gpt-4o", temperature=3, top_p="x", n=0)

    assert error.field_errors == {
        "temperature": ["Must be at most 2."],
        "top_p": ["Expected number."],
        "n": ["Must be at least 1."],
    }
    assert error.param == "temperature"


def test_tiers_without_a_price_are_refused() -> None:
    """flex and priority cost other prices, which the catalogue does not have."""
    assert clean("gpt-4o", service_tier="auto")["service_tier"] == "auto"
    for tier in ("flex", "priority", "scale"):
        assert refused("gpt-4o", service_tier=tier).suggestions == ["auto", "default"]


class TestConditions:
    def test_tools_of_gpt_6(self) -> None:
        """Function tools at Chat Completions only while the model does not reason."""
        error = refused("gpt-6-luna", tools=[TOOL])

        assert type(error) is InvalidParameterForModel
        assert error.text() == "Model gpt-6-luna takes tools only with reasoning_effort=none"
        assert error.facts["invalid_params"] == ["tools"]
        assert clean("gpt-6-luna", tools=[TOOL], reasoning_effort="none")["tools"] == [TOOL]

    @pytest.mark.parametrize("effort", ["low", "medium", "max", None])
    def test_tools_of_gpt_6_by_effort(self, effort: str | None) -> None:
        """Without an effort the model's own counts, on either surface."""
        for with_defaults in (False, True):
            body = {**NEEDED["chat"], "tools": [TOOL], "reasoning_effort": effort}
            with pytest.raises(InvalidParameterForModel):
                params.clean(spec_of("gpt-6-sol"), body, with_defaults=with_defaults)

    @pytest.mark.parametrize("name", ["temperature", "top_p", "logprobs", "top_logprobs"])
    def test_sampling_of_adjustable_models(self, name: str) -> None:
        value: Any = True if name == "logprobs" else 1
        # gpt-5.1 does not reason by itself, gpt-5.5 does.
        assert clean("gpt-5.1", **{name: value})[name] == value
        assert clean("gpt-5.5", **{name: value, "reasoning_effort": "none"})[name] == value

        for model, effort in (("gpt-5.1", "low"), ("gpt-5.5", None)):
            error = refused(model, **{name: value, "reasoning_effort": effort})
            assert error.text() == f"Model {model} takes {name} only with reasoning_effort=none"

    def test_formats(self) -> None:
        error = refused(
            "gpt-4-turbo", response_format={"type": "json_schema", "json_schema": {"name": "a"}}
        )

        assert type(error) is InvalidParameterForModel
        assert error.text() == "Model gpt-4-turbo doesn't support response_format of type json_schema"
        assert clean("gpt-4-turbo", response_format={"type": "json_object"})
