"""How a charge came about: token classes times the price row's rates, at the day's exchange rate. Pure."""

from __future__ import annotations

from decimal import Decimal

from ai_providers.domain import pricing
from ai_providers.domain.pricing import NANO_PER_MILLIONTH, TOKEN_CLASSES, Rate
from ai_providers.domain.spec import Price
from ai_providers.domain.wire import Usage
from ai_usage.domain.analytics import Told
from megahub.kernel import money


def lines(usage: Usage, price: Price | None) -> list[Told]:
    """A line for each class of tokens that was used; without a price, how many only."""
    rates = pricing.rates_for(price, usage.prompt_tokens) if price is not None else {}
    found = []
    for name in TOKEN_CLASSES:
        tokens = getattr(usage, name)
        if tokens:
            rate = rates.get(name)
            nano = None if rate is None else int((rate * tokens * NANO_PER_MILLIONTH).to_integral_value())
            shown = None if rate is None else f"{rate.normalize():f}"
            found.append({"token_class": name, "tokens": tokens, "rate": shown, "amount": money.show(nano)})
    return found


def adds_up(usage: Usage, price: Price | None, rate: Rate | None, cost_nano_usd: int | None) -> bool | None:
    """Whether the price row still comes to what the ledger tells; None when it cannot be told."""
    if price is None or rate is None or cost_nano_usd is None:
        return None
    return pricing.cost(price, usage, rate).usd_nano == cost_nano_usd


def rate_told(rate: Rate | None) -> Told | None:
    """A currency's rate on a day."""
    if rate is None:
        return None
    return {"currency": rate.currency, "usd": f"{Decimal(rate.usd).normalize():f}", "day": rate.day}
