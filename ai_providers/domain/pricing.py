"""What a request costs: one pure function for the estimate, the hold and the settlement.

Amounts are nano-units of the price's currency (1 USD = 1,000,000,000). A price is per million
tokens, so that one token at 1.00 costs 1,000 nano.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

from ai_providers.domain.spec import ModelSpec, Price
from ai_providers.domain.tokens import most_input, most_said
from ai_providers.domain.wire import Usage

NANO_PER_MILLIONTH = 1000
TOKEN_CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")
#: The class whose rate a class without its own costs.
FALLBACKS = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
#: A request that names no most of output tokens, on a model whose cap is not known.
ASSUMED_OUTPUT_TOKENS = 32_768
#: What OpenAI takes for the most tokens of a completion that names none.
COMPLETION_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of a currency's unit is how many USD, and since which day."""

    currency: str
    usd: Decimal
    day: date


@dataclass(frozen=True, slots=True)
class Cost:
    """A priced usage: nano-units of ``currency`` by side, and in USD at ``rate``."""

    currency: str
    input_nano: int
    output_nano: int
    rate: Rate
    price_since: date

    @property
    def nano(self) -> int:
        """The whole amount in the price's currency."""
        return self.input_nano + self.output_nano

    @property
    def usd_nano(self) -> int:
        return to_usd(self.nano, self.rate)

    @property
    def input_usd_nano(self) -> int:
        return to_usd(self.input_nano, self.rate)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most a request may cost, in nano-USD: what is held against the budgets.

    ``priced`` is False when the model has no price and a pessimistic one was taken instead.
    """

    usd_nano: int
    input_tokens: int
    output_tokens: int
    priced: bool

    @property
    def tokens(self) -> int:
        """At most this many tokens, both ways."""
        return self.input_tokens + self.output_tokens


def to_usd(nano: int, rate: Rate) -> int:
    """Nano-USD of nano-units of another currency, halves up."""
    if rate.usd == 1:
        return nano
    return int((nano * rate.usd).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def cost(price: Price, usage: Usage, rate: Rate, *, batch: bool = False) -> Cost:
    """Price a usage. Raises ValueError for a price that is not per token of text."""
    return _priced(price, usage, rate, _rates_of_text(price, usage.prompt_tokens, batch=batch))


class Pricer:
    """``cost`` for many answers of one model: a price without tiers is looked up once."""

    def __init__(self, price: Price, rate: Rate, *, batch: bool = False) -> None:
        self._price = price
        self._rate = rate
        self._batch = batch
        self._flat = None if price.tiers else _rates_of_text(price, 0, batch=batch)

    def of(self, usage: Usage) -> Cost:
        """Price a usage."""
        rates = self._flat or _rates_of_text(self._price, usage.prompt_tokens, batch=self._batch)
        return _priced(self._price, usage, self._rate, rates)


def _rates_of_text(price: Price, prompt_tokens: int, *, batch: bool) -> dict[str, Decimal]:
    if price.unit != "per_1M_tokens" or "input" not in price.rates:
        raise ValueError(f"a price {price.unit} of {', '.join(price.rates)} does not price tokens of text")
    return rates_for(price, prompt_tokens, batch=batch)


def _priced(price: Price, usage: Usage, rate: Rate, rates: dict[str, Decimal]) -> Cost:
    incoming = sum((rates[name] * getattr(usage, name) for name in TOKEN_CLASSES[:3]), start=Decimal(0))
    outgoing = sum((rates[name] * getattr(usage, name) for name in TOKEN_CLASSES[3:]), start=Decimal(0))
    return Cost(price.currency, _nano(incoming), _nano(outgoing), rate, price.since)


def rates_for(price: Price, prompt_tokens: int, *, batch: bool = False) -> dict[str, Decimal]:
    """The rate of every token class for a request of this size, per million tokens."""
    rates = dict(price.rates)
    if batch:
        rates |= price.batch
    for tier in sorted(price.tiers, key=lambda tier: tier.above_input_tokens):
        if prompt_tokens > tier.above_input_tokens:
            rates = _at_tier(rates, price.rates, tier.rates)
    for name, source in FALLBACKS.items():
        rates.setdefault(name, rates.get(source, Decimal(0)))
    rates.setdefault("output", Decimal(0))
    return rates


def _at_tier(
    rates: dict[str, Decimal], base: dict[str, Decimal], tier: dict[str, Decimal]
) -> dict[str, Decimal]:
    """Batch rates grow by the same factor as the list rates do above the tier."""
    raised = {}
    for name, amount in rates.items():
        if name in tier and base.get(name):
            raised[name] = amount * tier[name] / base[name]
        else:
            raised[name] = tier.get(name, amount)
    return raised


def _nano(millionths: Decimal) -> int:
    return int((millionths * NANO_PER_MILLIONTH).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def output_bound(spec: ModelSpec, params: dict[str, Any]) -> int:
    """The most output tokens a cleaned request can be charged for (all of its ``n`` choices)."""
    if spec.kind in ("embeddings", "moderations"):
        return 0
    if spec.kind == "completions":
        prompts = params.get("prompt")
        count = len(prompts) if isinstance(prompts, list) and not isinstance(prompts[0], int) else 1
        each = params.get("max_tokens", COMPLETION_TOKENS)
        return int(each) * int(params.get("n") or 1) * count
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    named = next((params[name] for name in names if params.get(name)), None)
    cap = spec.max_output_tokens or spec.context_window
    most = min(named, cap) if named and cap else named or cap or ASSUMED_OUTPUT_TOKENS
    return int(most) * int(params.get("n") or 1)


def input_bound(spec: ModelSpec, params: dict[str, Any]) -> int:
    """The most input tokens a cleaned request can be charged for.

    A chat's window holds all of it; that of an embeddings model holds each of its inputs.
    """
    window = spec.context_window if spec.kind in ("chat", "responses") else None
    return min(most_input(params), window or sys.maxsize)


def estimate(
    spec: ModelSpec,
    params: dict[str, Any],
    price: Price,
    rate: Rate,
    *,
    priced: bool,
    batch: bool = False,
) -> Estimate:
    """The most a cleaned request may cost under ``price``; cached input is not counted upon."""
    incoming, outgoing = input_bound(spec, params), output_bound(spec, params)
    return estimate_of(incoming, outgoing, price, rate, priced=priced, batch=batch)


def estimate_of(
    incoming: int, outgoing: int, price: Price, rate: Rate, *, priced: bool = True, batch: bool = False
) -> Estimate:
    """The most that so many tokens may cost under ``price``."""
    dearest_in, dearest_out = _dearest(rates_for(price, incoming, batch=batch))
    most = dearest_in * incoming + dearest_out * outgoing
    return Estimate(_usd_ceiling(most, rate), incoming, outgoing, priced)


@dataclass(frozen=True, slots=True)
class Bounds:
    """At most this many tokens of a chat's parameters, what is said in it apart."""

    incoming: int
    outgoing: int


class Estimator:
    """``estimate`` for many requests to one model: what they share is looked up once."""

    def __init__(self, spec: ModelSpec, price: Price, rate: Rate, *, priced: bool, batch: bool) -> None:
        self._spec = spec
        self._price = price
        self._rate = rate
        self._priced = priced
        self._batch = batch
        self._flat = None if price.tiers else self._whole(0)

    def of(self, params: dict[str, Any]) -> Estimate:
        """The most that a cleaned request may cost."""
        return self.at(input_bound(self._spec, params), output_bound(self._spec, params))

    def of_chat(self, bounds: Bounds, messages: list[dict[str, Any]]) -> Estimate:
        """``of`` a chat of ``messages`` with other parameters whose bounds are known."""
        incoming = bounds.incoming + most_said(messages)
        return self.at(min(incoming, self._spec.context_window or incoming), bounds.outgoing)

    def bounds(self, params: dict[str, Any]) -> Bounds:
        """What a chat's parameters without its messages make of tokens."""
        return Bounds(most_input(params), output_bound(self._spec, params))

    def at(self, incoming: int, outgoing: int) -> Estimate:
        """The most that so many tokens may cost."""
        dearest_in, dearest_out, parts = self._flat or self._whole(incoming)
        nano = -(-(dearest_in * incoming + dearest_out * outgoing) // parts)
        return Estimate(nano, incoming, outgoing, self._priced)

    def _whole(self, incoming: int) -> tuple[int, int, int]:
        """Nano-USD per token that goes in and that comes out, and the number that both are parts of."""
        dearest = _dearest(rates_for(self._price, incoming, batch=self._batch))
        nano = [each * NANO_PER_MILLIONTH * self._rate.usd for each in dearest]
        parts = math.lcm(*(each.as_integer_ratio()[1] for each in nano))
        return int(nano[0] * parts), int(nano[1] * parts), parts


def _dearest(rates: dict[str, Decimal]) -> tuple[Decimal, Decimal]:
    """The dearest rate of what goes in, and of what comes out."""
    return max(rates["input"], rates["cache_write"]), max(rates["output"], rates["reasoning"])


def _usd_ceiling(millionths: Decimal, rate: Rate) -> int:
    nano = millionths * NANO_PER_MILLIONTH * rate.usd
    return int(nano.to_integral_value(rounding=ROUND_CEILING))


def pessimistic(prices: list[Price]) -> Price | None:
    """The dearest of the given token prices, class by class: what an unpriced model is held at.

    Each class at what it really costs: with what stands in for an absent one, and above every tier.
    """
    token_prices = [price for price in prices if price.unit == "per_1M_tokens" and "input" in price.rates]
    if not token_prices:
        return None
    effective = [rates_for(price, sys.maxsize) for price in token_prices]
    rates = {name: max(each[name] for each in effective) for name in TOKEN_CLASSES}
    newest = max(price.since for price in token_prices)
    return Price(newest, token_prices[0].currency, "per_1M_tokens", rates)
