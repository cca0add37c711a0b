"""Write ``pins.json`` from the machine-readable facts about models (not from the hub's own loader).

    python -m tests.catalogue.make_pins <models.json>

The facts were collected on 2026-11-20 from the providers' published specifications, documentation and
price files. They hold today's prices only; ``EARLIER`` and ``SINCE`` add those whose change is known
(provider-facts.md, section 0, item 6). ``BY_HAND`` are models that the facts do not have. Words are
kept as the facts say them (``temperature!=1``): ``differences`` knows what the catalogue makes of them.
One line per model: review each changed line before it is committed, a pin is a promise.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

PINS = Path(__file__).parent / "pins.json"
BEGINNING = "1970-01-01"

EARLIER = {
    "o3": {"input": "10", "output": "40"},
    "gpt-5.6-sol": {"input": "5", "output": "30"},
    "gpt-5.6-luna": {"input": "1", "output": "6"},
}
SINCE = {"o3": "2025-06-10", "gpt-5.6-sol": "2026-08-21", "gpt-5.6-luna": "2026-07-30"}

#: Named by the integration notes of Infomaniak's first API; the facts know only its siblings.
BY_HAND = {
    "mistral31": {
        "like": "mistral3",
        "context_window": None,
        "max_input_tokens": None,
    }
}
#: Words about a condition are long; this is what they say.
CONDITIONS = {
    "only with reasoning_effort=none": "reasoning_effort=none",
    "with reasoning_effort != 'none' Chat Completions returns 400": "reasoning_effort=none",
    "with header anthropic-version: 2026-10-21 ANY value -> 400": "anthropic-version=2023-06-01",
}


def pin(row: dict[str, Any]) -> dict[str, Any]:
    """What is pinned of one model."""
    prices = {name: amount for name, amount in row["prices"].items() if amount is not None}
    currency, unit = prices.pop("currency"), prices.pop("unit")
    history = {BEGINNING: EARLIER[row["id"]]} if row["id"] in EARLIER else {}
    if prices:
        history[SINCE.get(row["id"], BEGINNING)] = amounts(prices)
    return {
        "provider": row["provider"],
        "kind": row["kind"],
        "generation": row["generation"],
        "context_window": row["context_window"],
        "max_input_tokens": row["max_input_tokens"],
        "max_output_tokens": row["max_output_tokens"],
        "required": row["params"]["required"],
        "forbidden": row["params"]["forbidden"],
        "optional": row["params"]["optional"],
        "conditional": {name: condition(text) for name, text in row["params"]["conditional"].items()},
        "efforts": row["reasoning_effort"],
        "default_effort": row["default_reasoning_effort"],
        "batch": row["batch_eligible"],
        "endpoints": row["endpoints"],
        "shutdown": row["status"]["shutdown_date"],
        "replacement": row["status"]["replacement"],
        "currency": currency,
        "unit": unit,
        "prices": history,
    }


def amounts(prices: dict[str, Any]) -> dict[str, Any]:
    """Amounts as exact texts, whatever their depth."""
    return {
        name: amounts(value) if isinstance(value, dict) else f"{Decimal(value).normalize():f}"
        for name, value in prices.items()
    }


def condition(text: str) -> str:
    """The short form of a condition."""
    return next(short for start, short in CONDITIONS.items() if text.startswith(start))


def main(source: str) -> None:
    """Write the pins of every model of ``source`` and of those added by hand."""
    rows = json.loads(Path(source).read_text(), parse_float=Decimal)["models"]
    pins = {row["id"]: pin(row) for row in rows}
    for name, own in BY_HAND.items():
        pins[name] = {**pins[own["like"]], **own}
        del pins[name]["like"]
    lines = (f"{json.dumps(name)}: {json.dumps(row, sort_keys=True)}" for name, row in sorted(pins.items()))
    PINS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
