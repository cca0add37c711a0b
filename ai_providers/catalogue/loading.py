"""Read ``*.toml`` into ``ModelSpec`` rows. A row that says something unknown does not load."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from ai_providers.domain.spec import ModelSpec, ParamRule, Price, Profile, Tier

FOLDER = Path(__file__).parent
PROVIDERS = ("openai", "infomaniak", "anthropic", "google")
#: A price without a date: no earlier one is known.
BEGINNING = date(1970, 1, 1)

#: What every model of a kind takes and needs.
REQUIRED: dict[str, tuple[str, ...]] = {
    "chat": ("messages",),
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


@cache
def models() -> dict[str, ModelSpec]:
    """Every model of the catalogue by id, in the order of the files."""
    definitions = _definitions()
    found: dict[str, ModelSpec] = {}
    for provider in PROVIDERS:
        data = tomllib.loads((FOLDER / f"{provider}.toml").read_text())
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


def _definition(name: str, row: dict[str, Any]) -> ParamRule:
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
    unknown = set(own) - RULE_KEYS
    if unknown:
        raise ValueError(f"rules {name}: unknown keys {sorted(unknown)}")
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
    unknown = set(row) - MODEL_KEYS
    if unknown:
        raise ValueError(f"{row['id']}: unknown keys {sorted(unknown)}")
    rules = _rules(row["rules"], data["rules"])
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
        prices=tuple(_price(price, data["sources"], row) for price in row.get("prices", ())),
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


def _price(price: dict[str, Any], sources: dict[str, str], row: dict[str, Any]) -> Price:
    tiers = [Tier(tier["above_input_tokens"], _rates(tier["rates"])) for tier in price.get("tiers", ())]
    return Price(
        since=price.get("since", BEGINNING),
        currency=price["currency"],
        unit=price.get("unit", "per_1M_tokens"),
        rates=_rates(price["rates"]),
        batch=_rates(price.get("batch", {})),
        tiers=tuple(tiers),
        source=sources[row["sources"][0]],
    )


def _rates(row: dict[str, str]) -> dict[str, Decimal]:
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
