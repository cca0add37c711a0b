"""Read ``*.toml`` into ``ModelSpec`` rows. A row that says something unknown does not load."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, get_args

from ai_providers.domain.spec import ModelSpec, ParamRule, Price, Profile, Tier, TokenClass

FOLDER = Path(__file__).parent
PROVIDERS = ("openai", "infomaniak", "anthropic", "google")
#: A price without a date: no earlier one is known.
BEGINNING = date(1970, 1, 1)

#: What every model of a kind takes and needs.
REQUIRED: dict[str, tuple[str, ...]] = {
    "chat": ("messages",),
    "completions": ("prompt",),
    "moderations": ("input",),
    "embeddings": ("input",),
    "responses": ("input",),
    "image": ("prompt",),
    "transcription": ("file",),
    "speech": ("input", "voice"),
}
RULE_KEYS = frozenset(
    "like kind is_reasoning content accepts also_accepts forbids also_forbids only needs choices"
    " ranges renames defaults roles refused_formats wire".split()
)
MODEL_KEYS = frozenset(
    "id rules name family description recommended_for speed quality cost generation context_window"
    " max_input_tokens max_output_tokens reasoning_efforts default_reasoning_effort batch_eligible"
    " refused_formats also_forbids wire shutdown_date replacement endpoints sources unverified note"
    " prices".split()
)
FILE_KEYS = frozenset("provider checked sources rules models".split())
PARAM_KEYS = frozenset("types minimum maximum choices description".split())
PRICE_KEYS = frozenset("since currency unit rates batch tiers".split())
TIER_KEYS = frozenset("above_input_tokens rates".split())
#: Classes of tokens that a text model's price may name; images have classes of their own.
TOKEN_CLASSES = frozenset(get_args(TokenClass))


@cache
def responses_rules() -> dict[str, ParamRule]:
    """What the Responses API takes of any model that serves it."""
    return _definitions()["responses"]


@cache
def models() -> dict[str, ModelSpec]:
    """Every model of the catalogue by id, in the order of the files."""
    definitions = _definitions()
    found: dict[str, ModelSpec] = {}
    for provider in PROVIDERS:
        data = tomllib.loads((FOLDER / f"{provider}.toml").read_text())
        _check_keys(f"{provider}.toml", data, FILE_KEYS)
        for row in data["models"]:
            spec = _model(row, data, definitions)
            if spec.id in found:
                raise ValueError(f"{spec.id} is in the catalogue twice")
            found[spec.id] = spec
    return found


def _definitions() -> dict[str, dict[str, ParamRule]]:
    data = tomllib.loads((FOLDER / "params.toml").read_text())
    return {
        kind: {name: _definition(name, row) for name, row in rows.items()} for kind, rows in data.items()
    }


def _check_keys(what: str, row: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(row) - known)
    if unknown:
        raise ValueError(f"{what}: unknown keys {unknown}")


def _definition(name: str, row: dict[str, Any]) -> ParamRule:
    _check_keys(f"parameter {name}", row, PARAM_KEYS)
    return ParamRule(
        name=name,
        types=tuple(row["types"]),
        minimum=row.get("minimum"),
        maximum=row.get("maximum"),
        choices=tuple(row.get("choices", ())),
        description=row["description"],
    )


def _rules(name: str, all_rules: dict[str, Any]) -> dict[str, Any]:
    """A rule set with what it is like filled in."""
    own = dict(all_rules[name])
    _check_keys(f"rules {name}", own, RULE_KEYS)
    base = _rules(own.pop("like"), all_rules) if "like" in own else {}
    merged = {**base, **own}
    more = merged.pop("also_accepts", [])
    less = merged.pop("also_forbids", [])
    accepts = [*merged.get("accepts", []), *more]
    forbids = [*merged.get("forbids", []), *less]
    merged["accepts"] = [n for n in accepts if n not in less]
    merged["forbids"] = [n for n in dict.fromkeys(forbids) if n not in merged["accepts"]]
    return merged


def _model(
    row: dict[str, Any], data: dict[str, Any], definitions: dict[str, dict[str, ParamRule]]
) -> ModelSpec:
    _check_keys(row["id"], row, MODEL_KEYS)
    rules = _rules(row["rules"], data["rules"])
    classes = None if rules["kind"] == "image" else TOKEN_CLASSES
    own_forbids = row.get("also_forbids", [])
    accepts = [*REQUIRED[rules["kind"]], *rules["accepts"]]
    accepts = [name for name in accepts if name not in own_forbids]
    forbids = list(dict.fromkeys([*rules["forbids"], *own_forbids]))
    known = definitions[rules["kind"]]
    return ModelSpec(
        id=row["id"],
        provider=data["provider"],
        kind=rules["kind"],
        generation=row["generation"],
        family=row["family"],
        is_reasoning=rules.get("is_reasoning", False),
        context_window=row.get("context_window"),
        max_input_tokens=row.get("max_input_tokens"),
        max_output_tokens=row.get("max_output_tokens"),
        params={name: _rule(known[name], rules, row) for name in accepts},
        required=("model", *REQUIRED[rules["kind"]]),
        forbidden=tuple(name for name in forbids if known[name]),
        renames=rules.get("renames", {}),
        defaults=rules.get("defaults", {}),
        roles=rules.get("roles", {}),
        refused_formats=(*rules.get("refused_formats", []), *row.get("refused_formats", [])),
        content=rules.get("content", "any"),
        reasoning_efforts=tuple(row.get("reasoning_efforts", ())),
        default_reasoning_effort=row.get("default_reasoning_effort"),
        prices=tuple(_price(price, data["sources"], row, classes) for price in row.get("prices", ())),
        batch_eligible=row.get("batch_eligible", False),
        endpoints=tuple(row["endpoints"]),
        shutdown_date=row.get("shutdown_date"),
        replacement=row.get("replacement"),
        profile=_profile(row),
        wire={**rules.get("wire", {}), **row.get("wire", {})},
        sources=tuple(data["sources"][key] for key in row["sources"]),
        checked=data["checked"],
        note=row.get("note", ""),
        unverified=tuple(row.get("unverified", ())),
    )


def _rule(definition: ParamRule, rules: dict[str, Any], row: dict[str, Any]) -> ParamRule:
    """The general definition, narrowed by the rule set and by the model's own limits."""
    name = definition.name
    low, high = rules.get("ranges", {}).get(name, (definition.minimum, definition.maximum))
    choices = rules.get("choices", {}).get(name, definition.choices)
    if name == "reasoning_effort":
        choices = row.get("reasoning_efforts", ())
    if name in ("max_tokens", "max_completion_tokens") and row.get("max_output_tokens"):
        high = row["max_output_tokens"]
    needs = rules.get("needs", {}).get(name, {})
    return ParamRule(
        name=name,
        types=definition.types,
        minimum=low,
        maximum=high,
        choices=tuple(choices),
        only=tuple(rules.get("only", {}).get(name, ())),
        needs={other: tuple(values) for other, values in needs.items()},
        description=definition.description,
    )


def _price(
    price: dict[str, Any], sources: dict[str, str], row: dict[str, Any], classes: frozenset[str] | None
) -> Price:
    what = f"price of {row['id']}"
    _check_keys(what, price, PRICE_KEYS)
    tiers = price.get("tiers", ())
    for tier in tiers:
        _check_keys(what, tier, TIER_KEYS)
    return Price(
        since=price.get("since", BEGINNING),
        currency=price["currency"],
        unit=price.get("unit", "per_1M_tokens"),
        rates=_rates(what, price["rates"], classes),
        batch=_rates(what, price.get("batch", {}), classes),
        tiers=tuple(Tier(t["above_input_tokens"], _rates(what, t["rates"], classes)) for t in tiers),
        source=sources[row["sources"][0]],
    )


def _rates(what: str, row: dict[str, str], classes: frozenset[str] | None) -> dict[str, Decimal]:
    if classes is not None:
        _check_keys(what, row, classes)
    if not all(isinstance(amount, str) for amount in row.values()):
        raise ValueError(f"{what}: amounts are texts, a float is not exact")
    return {name: Decimal(amount) for name, amount in row.items()}


def _profile(row: dict[str, Any]) -> Profile:
    return Profile(
        name=row["name"],
        description=row["description"],
        recommended_for=tuple(row["recommended_for"]),
        speed=row["speed"],
        quality=row["quality"],
        cost=row["cost"],
    )
