"""The models as clients list them: MEGAHUB's long form, OpenAI's short one. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from ai_providers.domain import params
from ai_providers.domain.spec import ModelSpec, Price

GENERATIONS = {
    "new": {
        "features": ["structured_messages", "max_completion_tokens"],
        "limitations": ["no_temperature_for_reasoning_models"],
    },
    "legacy": {"features": ["temperature", "max_tokens", "proven_stability"], "limitations": []},
}
MILLION = Decimal(1_000_000)


def long_form(spec: ModelSpec, price: Price | None, today: date) -> dict[str, Any]:
    """A model of ``GET /ai/openai/chat/``; prices per token are null while they are unknown."""
    return {
        "id": spec.id,
        "name": spec.profile.name,
        "description": spec.profile.description,
        "provider": spec.provider,
        "generation": spec.generation,
        "status": spec.status(today),
        "shutdown_date": str(spec.shutdown_date) if spec.shutdown_date else None,
        "replacement": spec.replacement,
        "supports_reasoning": spec.is_reasoning or bool(spec.reasoning_efforts),
        "supports_temperature": supports_temperature(spec),
        "reasoning_efforts": list(spec.reasoning_efforts),
        "input_cost_per_token": per_token(price, "input"),
        "output_cost_per_token": per_token(price, "output"),
        "currency": price.currency if price else None,
        "context_window": spec.context_window,
        "max_output_tokens": spec.max_output_tokens,
        "recommended_for": list(spec.profile.recommended_for),
        "default_params": default_params(spec),
        "model_requirements": params.requirements(spec),
        "performance_profile": {
            "speed": spec.profile.speed,
            "quality": spec.profile.quality,
            "cost": spec.profile.cost,
        },
    }


def supports_temperature(spec: ModelSpec) -> bool:
    """Whether a temperature of one's own choice is taken (perhaps on a condition)."""
    rule = spec.params.get("temperature")
    return rule is not None and not rule.only


def per_token(price: Price | None, token_class: str) -> float | None:
    """The list price of one token; a sample for people, never used for money."""
    if price is None or token_class not in price.rates:
        return None
    return float(price.rates[token_class] / MILLION)


def default_params(spec: ModelSpec) -> dict[str, Any]:
    """What MEGAHUB sends when the caller says nothing."""
    chosen = dict(spec.defaults)
    if spec.default_reasoning_effort:
        chosen["reasoning_effort"] = spec.default_reasoning_effort
    return chosen


def generation_info(specs: list[ModelSpec]) -> dict[str, Any]:
    """The models by generation, with what sets each apart."""
    return {
        name: {"models": [spec.id for spec in specs if spec.generation == name], **facts}
        for name, facts in GENERATIONS.items()
    }


def selection_guide(specs: list[ModelSpec], usd_per_output: dict[str, Decimal]) -> dict[str, str | None]:
    """A model per purpose, found in the catalogue: the cheapest one that people recommend for it."""
    purposes = {
        "complex_analysis": ("analysis", "highest"),
        "cost_effective_reasoning": ("reasoning", None),
        "creative_content": ("creative", None),
        "general_purpose": ("general", "high"),
    }
    return {
        purpose: _cheapest(specs, usd_per_output, recommended, quality)
        for purpose, (recommended, quality) in purposes.items()
    }


def _cheapest(
    specs: list[ModelSpec], prices: dict[str, Decimal], recommended: str, quality: str | None
) -> str | None:
    fitting = [
        (prices[spec.id], spec.id)
        for spec in specs
        if spec.id in prices
        and recommended in spec.profile.recommended_for
        and quality in (None, spec.profile.quality)
    ]
    return min(fitting)[1] if fitting else None


def short_form(spec: ModelSpec) -> dict[str, Any]:
    """A model of ``GET /v1/models``; ``created`` is the day on which the catalogue was checked."""
    checked = datetime.combine(spec.checked, time(), UTC)
    return {
        "id": spec.id,
        "object": "model",
        "created": int(checked.timestamp()),
        "owned_by": spec.provider,
        "shutdown_date": str(spec.shutdown_date) if spec.shutdown_date else None,
    }
