"""A model's parameters as a JSON Schema with hints for forms, from the validator's rows. Pure."""

from __future__ import annotations

from typing import Any

from ai_providers.domain.params import LIMITS, refused
from ai_providers.domain.spec import ModelSpec, ParamRule

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: What a form shows first; the rest is for those who know what they want.
BASIC = (
    "messages",
    "input",
    "prompt",
    "file",
    "voice",
    "reasoning_effort",
    "temperature",
    *LIMITS,
    "stream",
    "tools",
    "response_format",
    "size",
    "quality",
    "n",
)
TEXT_AREAS = frozenset(("prompt", "instructions", "negative_prompt"))


def schema(spec: ModelSpec) -> dict[str, Any]:
    """The body of a request to ``spec``: what is required, what each parameter may hold, what excludes it.

    ``x-form`` tells a form which widget to show (``group`` basic or advanced, in ``order``) and
    ``show_if`` on which values of another parameter one depends. Names that are renamed on the way are
    there as well, deprecated.
    """
    names = sorted(spec.params, key=_order)
    properties = {name: _property(spec, spec.params[name], number) for number, name in enumerate(names)}
    for old, new in spec.renames.items():
        if new in properties:
            renamed = {key: value for key, value in properties[new].items() if key != "default"}
            properties[old] = {**renamed, "deprecated": True, "x-renamed-to": new}
    found = {
        "$schema": DIALECT,
        "title": spec.profile.name,
        "description": spec.profile.description,
        "type": "object",
        "properties": {"model": {"const": spec.id}, **properties},
        "required": [name for name in spec.required if name != "model"],
        "additionalProperties": False,
        "x-forbidden": list(refused(spec)),
    }
    together = [*_conditions(spec), *_either(spec, properties)]
    return {**found, "allOf": together} if together else found


def _order(name: str) -> tuple[int, str]:
    return (BASIC.index(name), "") if name in BASIC else (len(BASIC), name)


def _property(spec: ModelSpec, rule: ParamRule, number: int) -> dict[str, Any]:
    types = list(rule.types)
    found: dict[str, Any] = {"description": rule.description}
    if "any" not in types:
        found["type"] = types[0] if len(types) == 1 else types
    if rule.only:
        found["enum"] = list(rule.only)
    elif rule.choices:
        found["enum"] = list(rule.choices)
    if rule.minimum is not None:
        found["minimum"] = rule.minimum
    if rule.maximum is not None:
        found["maximum"] = rule.maximum
    default = _default(spec, rule.name)
    if default is not None:
        found["default"] = default
    if rule.name == "messages":
        found |= {"minItems": 1, "items": _message(spec)}
    return {**found, "x-form": _hints(rule, number)}


def _default(spec: ModelSpec, name: str) -> Any:
    return spec.default_reasoning_effort if name == "reasoning_effort" else spec.defaults.get(name)


def _message(spec: ModelSpec) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"role": {"type": "string", "enum": list(spec.roles)}},
        "required": ["role"],
    }


def _hints(rule: ParamRule, number: int) -> dict[str, Any]:
    hints: dict[str, Any] = {
        "widget": _widget(rule),
        "group": "basic" if rule.name in BASIC else "advanced",
        "order": number,
    }
    if "number" in rule.types:
        hints["step"] = 0.01
    if rule.needs:
        hints["show_if"] = {other: list(values) for other, values in rule.needs.items()}
    return hints


def _widget(rule: ParamRule) -> str:
    if rule.name in ("messages", "tools"):
        return rule.name
    if rule.only or rule.choices:
        return "select"
    if rule.name in TEXT_AREAS or (rule.name == "input" and "string" in rule.types):
        return "textarea"
    bounded = rule.minimum is not None and rule.maximum is not None
    if "number" in rule.types:
        return "slider" if bounded else "number"
    by_type = {"integer": "number", "boolean": "switch", "string": "text", "any": "file"}
    return by_type.get(rule.types[0], "json")


def _conditions(spec: ModelSpec) -> list[dict[str, Any]]:
    """Parameters that are taken only with certain values of another one (which may be its default)."""
    found = []
    for name, rule in spec.params.items():
        for other, values in rule.needs.items():
            then: dict[str, Any] = {"properties": {other: {"enum": list(values)}}}
            if _default(spec, other) not in values:
                then["required"] = [other]
            found.append({"if": {"required": [name]}, "then": then})
    return found


def _either(spec: ModelSpec, properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Two names for one thing: one of them."""
    pairs = [(old, new) for old, new in spec.renames.items() if new in properties]
    if set(LIMITS) <= set(spec.params):
        pairs.append(LIMITS)
    return [{"not": {"required": list(pair)}} for pair in pairs]
