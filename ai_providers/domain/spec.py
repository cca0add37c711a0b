"""What the catalogue says of a model: its parameters, limits, prices and dates. One row, no drift.

The same rows give the validation, its errors, the lists of models and the forms; ``catalogue/*.toml``
holds them with their sources, ``catalogue/loading.py`` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

ParamType = Literal["number", "integer", "string", "boolean", "object", "array", "any"]
Kind = Literal[
    "chat", "completions", "embeddings", "moderations", "responses", "image", "transcription", "speech"
]
TokenClass = Literal["input", "cache_read", "cache_write", "output", "reasoning"]
PriceUnit = Literal[
    "per_1M_tokens", "per_image", "per_minute_audio", "per_1M_characters", "per_compute_minute"
]


@dataclass(frozen=True, slots=True)
class ParamRule:
    """What a parameter may hold. ``types`` are alternatives; bounds are inclusive.

    ``choices`` closes the values of strings; ``only`` those of any type (``temperature`` of a
    reasoning model: 1); ``needs`` makes it depend on another parameter's value.
    """

    name: str
    types: tuple[ParamType, ...]
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    only: tuple[Any, ...] = ()
    needs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class Tier:
    """Above this many input tokens the whole request costs these rates instead."""

    above_input_tokens: int
    rates: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Price:
    """List prices from ``since`` on, in whole ``currency`` units per ``unit``.

    ``rates`` by token class (a class that is absent costs what ``FALLBACKS`` in ``pricing`` says);
    ``batch`` are the rates of the provider's own batch API.
    """

    since: date
    currency: str
    unit: PriceUnit
    rates: dict[str, Decimal]
    batch: dict[str, Decimal] = field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What people are told of a model."""

    name: str
    description: str
    recommended_for: tuple[str, ...]
    speed: Literal["fast", "medium", "slow"]
    quality: Literal["basic", "good", "high", "highest"]
    cost: Literal["low", "medium", "high", "unknown"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of the catalogue."""

    id: str
    provider: str
    kind: Kind
    generation: Literal["new", "legacy"]
    #: How errors name its family: "O3" in "O3 models don't support temperature parameter".
    family: str
    is_reasoning: bool
    context_window: int | None
    max_input_tokens: int | None
    max_output_tokens: int | None
    params: dict[str, ParamRule]
    required: tuple[str, ...]
    #: Known parameters that this model does not take, in the order in which people are told.
    forbidden: tuple[str, ...]
    renames: dict[str, str]
    #: Sent when absent, on the MEGAHUB surfaces only (an OpenAI client gets the provider's own).
    defaults: dict[str, Any]
    #: Message roles: what each is sent as; a role that is absent is refused.
    roles: dict[str, str]
    #: Values of ``response_format.type`` that are refused.
    refused_formats: tuple[str, ...]
    content: Literal["string", "parts", "any"]
    reasoning_efforts: tuple[str, ...]
    default_reasoning_effort: str | None
    prices: tuple[Price, ...]
    batch_eligible: bool
    endpoints: tuple[str, ...]
    shutdown_date: date | None
    replacement: str | None
    profile: Profile
    wire: dict[str, str]
    sources: tuple[str, ...]
    checked: date
    note: str = ""
    unverified: tuple[str, ...] = ()

    def is_retired(self, today: date) -> bool:
        """Whether the provider has shut it down by ``today``."""
        return self.shutdown_date is not None and self.shutdown_date <= today

    def status(self, today: date) -> Literal["active", "deprecated", "retired"]:
        """``deprecated`` once a shutdown is announced, ``retired`` from its day on."""
        if self.shutdown_date is None:
            return "active"
        return "retired" if self.is_retired(today) else "deprecated"

    def price_at(self, day: date) -> Price | None:
        """The price in force on ``day``: the latest that began by then; None when unpriced."""
        begun = [price for price in self.prices if price.since <= day and price.rates]
        return max(begun, key=lambda price: price.since, default=None)

    @property
    def output_limit_param(self) -> str:
        """The name under which the most output tokens are sent to this model."""
        return "max_completion_tokens" if "max_completion_tokens" in self.params else "max_tokens"
