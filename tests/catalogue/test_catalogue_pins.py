"""Every row of the catalogue, field by field, against the facts that it was made from."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ai_providers.catalogue import loading
from ai_providers.domain.spec import ModelSpec, Price
from tests.catalogue import differences
from tests.catalogue.differences import Pin

PINS: dict[str, Pin] = {
    name: {"id": name, **row}
    for name, row in json.loads((Path(__file__).parent / "pins.json").read_text()).items()
}
MODELS = sorted(PINS)
CHECKED = date(2026, 11, 20)

#: Billed 1.25 times the input (provider-facts.md, section 0, item 6; for Anthropic: five minutes).
CACHE_WRITES = ("gpt-5.6-", "gpt-6", "claude-")


def spec_of(model: str) -> ModelSpec:
    return loading.models()[model]


def test_it_works() -> None:
    """Nothing is missing, nothing is there that is not pinned."""
    assert sorted(loading.models()) == MODELS
    assert len(MODELS) == 84


@pytest.mark.parametrize("model", MODELS)
def test_facts(model: str) -> None:
    pin, spec = PINS[model], spec_of(model)

    found = {
        "provider": spec.provider,
        "kind": spec.kind,
        "generation": spec.generation,
        "context_window": spec.context_window,
        "max_input_tokens": spec.max_input_tokens,
        # The facts say 0 of models that put out vectors; the catalogue says nothing.
        "max_output_tokens": spec.max_output_tokens or (0 if spec.kind == "embeddings" else None),
        "efforts": list(spec.reasoning_efforts),
        "default_effort": spec.default_reasoning_effort,
        "batch": spec.batch_eligible,
        "endpoints": list(spec.endpoints),
        "shutdown": str(spec.shutdown_date) if spec.shutdown_date else None,
        "replacement": spec.replacement,
    }

    expected = {name: pin[name] for name in found}
    expected["kind"] = differences.KINDS.get(pin["kind"], pin["kind"])
    # Google writes MINIMAL, LOW…: the hub has one spelling.
    expected["efforts"] = [effort.lower() for effort in pin["efforts"]]
    assert found == expected, model


@pytest.mark.parametrize("model", MODELS)
def test_required(model: str) -> None:
    spec = spec_of(model)

    assert spec.required == differences.REQUIRED[spec.kind]
    assert set(spec.required) - {"model"} <= set(spec.params)


@pytest.mark.parametrize("model", MODELS)
def test_taken(model: str) -> None:
    assert sorted(spec_of(model).params) == sorted(differences.expected_takes(PINS[model]))


@pytest.mark.parametrize("model", MODELS)
def test_forbidden(model: str) -> None:
    spec = spec_of(model)

    assert sorted(spec.forbidden) == sorted(differences.expected_forbids(PINS[model]))
    assert not set(spec.forbidden) & set(spec.params)


@pytest.mark.parametrize("model", MODELS)
def test_forbidden_values(model: str) -> None:
    """``temperature!=1`` and its like: each entry stands in the row in one of the ways that it knows."""
    spec = spec_of(model)
    found, expected = {}, {}

    for entry in PINS[model]["forbidden"]:
        if entry not in differences.VALUES or differences.VALUES[entry][0] == "nowhere":
            continue
        if spec.kind == "responses":
            assert entry == "temperature!=1"  # unknown to that endpoint, at any value
            assert "temperature" not in spec.params
            continue
        field, name, value = differences.VALUES[entry]
        expected[entry] = value
        found[entry] = _value(spec, field, name, value)

    assert found == expected, model


def _value(spec: ModelSpec, field: str, name: str, value: Any) -> Any:
    """What the row says of a forbidden value, as ``VALUES`` says it."""
    if field == "only":
        return spec.params[name].only
    if field == "choices":
        return spec.params[name].choices
    if field == "format":
        return value if value in spec.refused_formats or name in spec.forbidden else spec.refused_formats
    if field == "content":
        return spec.content
    if field == "forbidden":
        return None if name in spec.forbidden else spec.params[name]
    # A role is refused, or said as `system` where the provider knows no developer.
    return None if spec.roles.get(name) in (None, "system") else spec.roles[name]


@pytest.mark.parametrize("model", MODELS)
def test_only_and_formats_have_a_reason(model: str) -> None:
    """The other way round: the row refuses no value that the facts do not forbid."""
    spec, forbidden = spec_of(model), PINS[model]["forbidden"]

    held = {f"{name}!={rule.only[0]}" for name, rule in spec.params.items() if rule.only}
    assert held <= set(forbidden)
    formats = {f"response_format={kind}" for kind in spec.refused_formats}
    # Anthropic has schemas only: reference/provider-facts.md, section 4 (output_config.format).
    known = {word.split(" ")[0] for word in forbidden} | (
        {"response_format=json_object"} if spec.provider == "anthropic" else set()
    )
    assert formats <= known


@pytest.mark.parametrize("model", MODELS)
def test_conditions(model: str) -> None:
    spec = spec_of(model)
    conditions = PINS[model]["conditional"]
    expected = {
        name: {"reasoning_effort": ("none",)}
        for name, condition in conditions.items()
        if condition == "reasoning_effort=none"
    }
    if "logprobs" in expected:
        expected["top_logprobs"] = expected["logprobs"]

    assert {name: rule.needs for name, rule in spec.params.items() if rule.needs} == expected
    # Anthropic's one condition is the adapter's: it will say which version it speaks.
    others = {c for c in conditions.values() if c != "reasoning_effort=none"}
    assert others <= ({"anthropic-version=2023-06-01"} if spec.provider == "anthropic" else set())


@pytest.mark.parametrize("model", MODELS)
def test_prices(model: str) -> None:
    pin, spec = PINS[model], spec_of(model)

    assert {str(price.since): _price(price) for price in spec.prices} == {
        since: _expected_price(model, pin, amounts) for since, amounts in pin["prices"].items()
    }


def _price(price: Price) -> dict[str, Any]:
    return {
        "currency": price.currency,
        "unit": price.unit,
        "rates": price.rates,
        "batch": price.batch,
        "tiers": {tier.above_input_tokens: tier.rates for tier in price.tiers},
    }


def _expected_price(model: str, pin: Pin, amounts: dict[str, Any]) -> dict[str, Any]:
    tiers = {
        int(name.removeprefix("long_context_above_").removesuffix("k")) * 1000: _rates(model, rates)
        for name, rates in amounts.items()
        if name.startswith("long_context_above_")
    }
    plain = {name: amount for name, amount in amounts.items() if isinstance(amount, str)}
    batch = {
        name.removeprefix("batch_"): amount for name, amount in plain.items() if name.startswith("batch_")
    }
    return {
        "currency": pin["currency"],
        "unit": pin["unit"],
        "rates": _rates(model, {n: a for n, a in plain.items() if not n.startswith("batch_")}),
        "batch": _rates("", batch),
        "tiers": tiers,
    }


def _rates(model: str, amounts: dict[str, str]) -> dict[str, Decimal]:
    """In the hub's classes; the output of embeddings, which costs 0, is not a class of theirs."""
    rates = {
        differences.TOKEN_CLASSES.get(name, name): Decimal(amount)
        for name, amount in amounts.items()
        if not (name == "output" and amount == "0")
    }
    if model.startswith(CACHE_WRITES):
        rates["cache_write"] = rates["input"] * Decimal("1.25")
    return rates


@pytest.mark.parametrize("model", MODELS)
def test_source_and_date(model: str) -> None:
    spec = spec_of(model)

    assert spec.checked == CHECKED
    assert spec.sources
    assert all(spec.sources)
    for price in spec.prices:
        assert price.source in spec.sources
