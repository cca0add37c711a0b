"""``clean``: what a caller sent -> what is sent to the model. Defaults, renames, refusals.

Sources: reference/megahub-shapes.md (defaults, renames, roles), reference/megahub-endpoints.md (the
errors to the letter), the catalogue's rows (what each model takes). Nothing is dropped silently; a
null is taken as absent, an explicit 0 is kept.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from ai_providers.domain import messages as message_rules
from ai_providers.domain import shapes
from ai_providers.domain.messages import Problems
from ai_providers.domain.spec import ModelSpec, ParamRule
from megahub.kernel.errors import InvalidParameterForModel, UnknownParameter, ValidationFailed
from megahub.kernel.text import Text

#: What a caller is pointed to first, by kind of model (megahub-endpoints.md).
SUGGESTED_REASONING = ("reasoning_effort", "max_completion_tokens")
SUGGESTED_NEW = ("temperature", "max_completion_tokens")
SUGGESTED_LEGACY = ("temperature", "max_tokens")

#: The most output tokens, under its older and its newer name.
LIMITS = ("max_tokens", "max_completion_tokens")

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "any": (object,),
}


@dataclass(frozen=True, slots=True)
class Cleaned:
    """``params`` as they are sent (without ``model`` and the stream's switches)."""

    params: dict[str, Any]
    stream: bool = False
    include_usage: bool = False

    @property
    def reasoning_effort(self) -> str | None:
        return self.params.get("reasoning_effort")


def clean(spec: ModelSpec, body: dict[str, Any], *, with_defaults: bool) -> Cleaned:
    """The parameters of ``body`` as ``spec`` takes them; ``body`` itself is left alone.

    ``with_defaults`` adds MEGAHUB's own defaults (its own surfaces do; an OpenAI client gets the
    provider's). Raises UnknownParameter, InvalidParameterForModel or ValidationFailed, each naming
    the parameters and what is accepted; the first kind that applies, with all of its findings.
    """
    given = {name: value for name, value in body.items() if value is not None and name != "model"}
    given = _rename(spec, given)
    _refuse_unknown(spec, given)
    _refuse_forbidden(spec, given)
    problems = _as_sent(spec, body, _problems(spec, given))
    if problems:
        raise ValidationFailed(
            field_errors=problems,
            param=next(iter(problems)),
            suggestions=_choices(spec, problems),
        )
    _refuse_formats(spec, given)
    if with_defaults:
        given = {**_defaults(spec, given), **given}
    if "messages" in given:
        given["messages"] = message_rules.clean(spec, given["messages"])
    stream = bool(given.pop("stream", False))
    options = given.pop("stream_options", None) or {}
    return Cleaned(given, stream, bool(options.get("include_usage")))


def requirements(spec: ModelSpec) -> dict[str, list[str]]:
    """``model_requirements`` as clients read them: required, forbidden, optional."""
    reasons = spec.is_reasoning and "reasoning_effort" in spec.params
    required = ["reasoning_effort"] if reasons else []
    hidden = {*spec.required, *required, *refused(spec), "stream_options"}
    first = (*suggested(spec), "tools")
    optional = [name for name in first if name in spec.params and name not in hidden]
    optional += [name for name in spec.params if name not in hidden and name not in first]
    return {"required": required, "forbidden": list(refused(spec)), "optional": optional}


def refused(spec: ModelSpec) -> tuple[str, ...]:
    """The names a client must not send: the forbidden ones and those held to one value."""
    held = tuple(name for name, rule in spec.params.items() if rule.only)
    return held + spec.forbidden


def suggested(spec: ModelSpec) -> list[str]:
    """The parameters to point a caller to: those of its family that this very model takes."""
    family = SUGGESTED_LEGACY if spec.generation == "legacy" else SUGGESTED_NEW
    family = SUGGESTED_REASONING if spec.is_reasoning else family
    return [name for name in family if name in spec.params or name in spec.renames]


def _rename(spec: ModelSpec, given: dict[str, Any]) -> dict[str, Any]:
    for old, new in spec.renames.items():
        if old not in given:
            continue
        if new in given and given[new] != given[old]:
            raise _either(old, new)
        given = {(new if name == old else name): value for name, value in given.items()}
    if set(LIMITS) <= set(given):
        # Models that know both names take one of them (langgraph#5943: invalid_parameter_combination).
        raise _either(*LIMITS)
    return given


def _either(old: str, new: str) -> ValidationFailed:
    text = Text("Give either {old} or {new}, not both.", old=old, new=new)
    return ValidationFailed(field_errors={old: [text]}, param=old)


def _as_sent(spec: ModelSpec, body: dict[str, Any], problems: Problems) -> Problems:
    """The problems under the names that the caller used."""
    sent = {new: old for old, new in spec.renames.items() if body.get(old) is not None}
    return {sent.get(name, name): texts for name, texts in problems.items()}


def _refuse_unknown(spec: ModelSpec, given: dict[str, Any]) -> None:
    if "tool_resources" in given and "tool_resources" not in spec.params:
        gone = Text(message_rules.ASSISTANTS_ARE_GONE, tool="tool_resources")
        raise ValidationFailed(field_errors={"tool_resources": [gone]}, param="tool_resources")
    unknown = [name for name in given if name not in spec.params and name not in spec.forbidden]
    if unknown:
        accepted = sorted(spec.params)
        near = [name for u in unknown for name in difflib.get_close_matches(u, accepted, n=2)]
        raise UnknownParameter(
            param=unknown[0],
            model=spec.id,
            invalid_params=unknown,
            suggestions=near + [name for name in accepted if name not in near],
        )


def _refuse_forbidden(spec: ModelSpec, given: dict[str, Any]) -> None:
    """Parameters that only other models take, values that this one does not, unmet conditions."""
    invalid = [name for name in given if name in spec.forbidden or _held(spec, name, given)]
    if invalid:
        raise _invalid(spec, invalid)
    effective = {"reasoning_effort": spec.default_reasoning_effort, **given}
    for name in given:
        for other, values in spec.params[name].needs.items():
            if effective.get(other) not in values:
                condition = f"{other}={' | '.join(map(str, values))}"
                message = "Model {model} takes {invalid_params} only with {condition}"
                raise _invalid(spec, [name], message, condition=condition)


def _held(spec: ModelSpec, name: str, given: dict[str, Any]) -> bool:
    rule = spec.params[name]
    return bool(rule.only) and given[name] not in rule.only


def _invalid(
    spec: ModelSpec, invalid: list[str], message: str | None = None, **words: Any
) -> InvalidParameterForModel:
    if message is None and spec.is_reasoning:
        message = "{family} models don't support {invalid_params} parameter"
    return InvalidParameterForModel(
        message,
        param=invalid[0],
        model=spec.id,
        invalid_params=invalid,
        suggested_params=suggested(spec),
        model_requirements=requirements(spec),
        words={"family": spec.family, **words},
    )


def _refuse_formats(spec: ModelSpec, given: dict[str, Any]) -> None:
    response_format = given.get("response_format")
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind in spec.refused_formats:
        message = "Model {model} doesn't support response_format of type {format}"
        raise _invalid(spec, ["response_format"], message, format=kind)


def _problems(spec: ModelSpec, given: dict[str, Any]) -> Problems:
    """Everything wrong with the values, by field."""
    found: Problems = {}
    for name in spec.required:
        if name != "model" and name not in given:
            found[name] = [Text("This field is required.")]
    for name, value in given.items():
        text = _wrong(spec.params[name], value)
        if text is None and spec.kind == "chat":
            text = shapes.wrong(name, value)
        if text is not None:
            found[name] = [text]
    for name, check in (
        ("messages", message_rules.problems),
        ("tools", message_rules.tool_problems),
        ("input", message_rules.input_problems),
    ):
        if (name == "input" and spec.kind != "embeddings") or spec.kind == "responses":
            continue  # the Responses API has items and tools of its own
        if name in given and name not in found:
            found |= check(spec, given[name])
    return found


def _wrong(rule: ParamRule, value: Any) -> Text | None:
    """What is wrong with one value, in words; None when nothing is."""
    if not _has_type(rule, value):
        return Text("Expected {types}.", types=" | ".join(rule.types))
    if isinstance(value, str) and rule.choices and value not in rule.choices:
        return Text("'{value}' is not one of {choices}.", value=value[:40], choices=rule.choices)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if rule.minimum is not None and value < rule.minimum:
            return Text("Must be at least {limit}.", limit=_plain(rule.minimum))
        if rule.maximum is not None and value > rule.maximum:
            return Text("Must be at most {limit}.", limit=_plain(rule.maximum))
    return None


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _has_type(rule: ParamRule, value: Any) -> bool:
    if isinstance(value, bool):
        return "boolean" in rule.types or "any" in rule.types
    return any(isinstance(value, PYTHON_TYPES[kind]) for kind in rule.types)


def _choices(spec: ModelSpec, problems: Problems) -> list[str] | None:
    """The closed choice of the first field at fault, where it has one."""
    rule = spec.params.get(next(iter(problems)))
    return list(rule.choices) if rule is not None and rule.choices else None


def _defaults(spec: ModelSpec, given: dict[str, Any]) -> dict[str, Any]:
    """MEGAHUB's defaults that this model takes and whose conditions hold."""
    limits = set(LIMITS)
    chosen = {
        name: value
        for name, value in spec.defaults.items()
        if name not in given and not (name in limits and limits & set(given))
    }
    if spec.default_reasoning_effort and "reasoning_effort" in spec.params:
        chosen.setdefault("reasoning_effort", spec.default_reasoning_effort)
    return chosen
