"""What a request costs, to the nano: golden amounts, and laws that hold for every price."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_providers.catalogue import loading
from ai_providers.domain import params, pricing
from ai_providers.domain.pricing import Cost, Estimate, Rate
from ai_providers.domain.spec import ModelSpec, Price
from ai_providers.domain.wire import Usage
from megahub.kernel.errors import HubError
from tests.ai_providers import any_body

TODAY = date(2026, 11, 20)
USD = Rate("USD", Decimal(1), date(1970, 1, 1))
CHF = Rate("CHF", Decimal("1.2437"), date(2026, 11, 19))
RATES = {"USD": USD, "CHF": CHF}
EDGE = 272_000

SPECS = [spec for spec in loading.models().values() if spec.kind in ("chat", "embeddings")]
PRICES = [(spec, price) for spec in SPECS for price in spec.prices]
counts = st.integers(0, 400_000)
usages = st.builds(
    Usage, input=counts, cache_read=counts, cache_write=counts, output=counts, reasoning=counts
)


def price_of(model: str, day: date = TODAY) -> Price:
    found = loading.models()[model].price_at(day)
    assert found is not None
    return found


def cost(model: str, *, batch: bool = False, day: date = TODAY, **classes: int) -> Cost:
    price = price_of(model, day)
    return pricing.cost(price, Usage(**classes), RATES[price.currency], batch=batch)


def estimate(model: str, body: dict[str, Any]) -> Estimate:
    """Of a cleaned body, at today's price."""
    spec, price = loading.models()[model], price_of(model)
    return pricing.estimate(spec, body, price, RATES[price.currency], priced=True)


def test_it_works() -> None:
    """gpt-4o-mini: 0.15 USD per million in, 0.60 out."""
    found = cost("gpt-4o-mini", input=1000, output=500)

    assert (found.currency, found.input_nano, found.output_nano) == ("USD", 150_000, 300_000)
    assert (found.nano, found.usd_nano) == (450_000, 450_000)
    assert (found.rate, found.price_since) == (USD, loading.BEGINNING)


@pytest.mark.parametrize(
    ("model", "classes", "incoming", "outgoing"),
    [
        # OpenAI: cached input and reasoning are classes of their own.
        ("o3", {"input": 1000, "output": 1000}, 2_000_000, 8_000_000),
        ("o3", {"input": 75, "output": 19, "reasoning": 192}, 150_000, 1_688_000),
        ("gpt-4o", {"input": 1000, "cache_read": 1000}, 3_750_000, 0),
        ("gpt-6-luna", {"cache_read": 1000, "cache_write": 1000, "input": 1000}, 235_000, 0),
        ("gpt-4-turbo", {"cache_read": 10, "cache_write": 10, "input": 10}, 300_000, 0),
        ("text-embedding-3-small", {"input": 8}, 160, 0),
        ("text-embedding-3-small", {"input": 8, "output": 100}, 160, 0),
        # Anthropic, Google.
        ("claude-sonnet-5-5", {"input": 1000, "cache_read": 1000, "output": 10}, 2_100_000, 100_000),
        ("claude-sonnet-4-5", {"cache_write": 1000}, 3_750_000, 0),
        ("gemini-3.8-flash", {"input": 100, "output": 50, "reasoning": 50}, 75_000, 375_000),
        # Infomaniak, in nano-francs.
        ("moonshotai/Kimi-K2.6", {"input": 21, "output": 38}, 12_600, 114_000),
        ("mini_lm_l12_v2", {"input": 1_000_000}, 0, 0),
    ],
)
def test_golden(model: str, classes: dict[str, int], incoming: int, outgoing: int) -> None:
    found = cost(model, **classes)

    assert (found.input_nano, found.output_nano) == (incoming, outgoing)
    assert found.nano == incoming + outgoing


def test_earlier_prices() -> None:
    before, after = date(2025, 6, 9), date(2025, 6, 10)

    assert cost("o3", day=before, input=1000, output=1000).nano == 50_000_000
    assert cost("o3", day=after, input=1000, output=1000).nano == 10_000_000
    assert cost("o3", day=after, input=1).price_since == after
    # Nothing was told of a price for cached input then: it costs what input costs.
    assert cost("o3", day=before, cache_read=1000).nano == 10_000_000


def test_cached_tokens_are_not_billed_twice() -> None:
    """4096 tokens in, of which 1920 were read from the cache and 1024 written to it."""
    found = cost("gpt-6-luna", input=1152, cache_read=1920, cache_write=1024)

    assert found.input_nano == 1152 * 100 + 1920 * 10 + 1024 * 125
    assert found.input_nano < cost("gpt-6-luna", input=4096).input_nano


def test_reasoning_costs_what_output_does() -> None:
    assert cost("o3", output=300).nano == cost("o3", output=100, reasoning=200).nano


class TestTiers:
    def test_edge(self) -> None:
        """Above 272,000 tokens the whole request costs more, output as well."""
        at, above = cost("gpt-5.4", input=EDGE, output=1000), cost("gpt-5.4", input=EDGE + 1, output=1000)

        assert (at.input_nano, at.output_nano) == (EDGE * 2500, 15_000_000)
        assert (above.input_nano, above.output_nano) == ((EDGE + 1) * 5000, 22_500_000)

    def test_all_that_goes_in_counts(self) -> None:
        found = cost("gpt-6-luna", input=100_000, cache_read=100_000, cache_write=EDGE - 200_000 + 1)

        assert found.input_nano == 100_000 * 200 + 100_000 * 20 + (EDGE - 200_000 + 1) * 250
        assert cost("gpt-6-luna", input=EDGE - 10, output=11).input_nano == (EDGE - 10) * 100

    def test_gemini(self) -> None:
        assert cost("gemini-2.5-pro", input=200_000).input_nano == 200_000 * 1250
        assert cost("gemini-2.5-pro", input=200_001).input_nano == 200_001 * 2500

    def test_small_models_have_none(self) -> None:
        assert cost("gpt-5.4-mini", input=EDGE + 1).input_nano == (EDGE + 1) * 750


class TestBatch:
    def test_half_price(self) -> None:
        assert cost("gpt-4o", batch=True, input=1000, output=1000).nano == 1_250_000 + 5_000_000

    def test_cached_input_stays_at_its_own(self) -> None:
        """OpenAI publishes no cached rate for batches: the standard one holds."""
        assert cost("gpt-4o", batch=True, cache_read=1000).nano == 1_250_000

    def test_above_the_tier(self) -> None:
        """Both at once: half of the tier's rates."""
        found = cost("gpt-5.4", batch=True, input=EDGE + 1, output=1000)

        assert found.input_nano == (EDGE + 1) * 2500
        assert found.output_nano == 11_250_000

    def test_without_a_batch_price(self) -> None:
        assert cost("gpt-4-32k", batch=True, input=10) == cost("gpt-4-32k", input=10)


class TestFrancs:
    def test_the_whole_and_the_side_that_went_in(self) -> None:
        found = cost("moonshotai/Kimi-K2.6", input=21, output=38)

        assert found.currency == "CHF"
        assert found.nano == 126_600
        assert found.usd_nano == 157_452  # 126,600 x 1.2437 = 157,452.42
        assert found.input_usd_nano == 15_671

    @settings(any_body.PATIENT)
    @given(usage=usages, usd=st.decimals("0.0001", "10", places=6))
    def test_whatever_the_rate(self, usage: Usage, usd: Decimal) -> None:
        rate = Rate("CHF", usd, TODAY)
        found = pricing.cost(price_of("moonshotai/Kimi-K2.6"), usage, rate)

        assert 0 <= found.input_usd_nano <= found.usd_nano
        assert abs(found.usd_nano - found.nano * usd) <= Decimal("0.5")

    def test_halves_go_up(self) -> None:
        rate = Rate("CHF", Decimal("0.5"), TODAY)

        assert [pricing.to_usd(nano, rate) for nano in (0, 1, 2, 3)] == [0, 1, 1, 2]
        assert pricing.to_usd(7, USD) == 7


@pytest.mark.parametrize("model", ["dall-e-3", "whisper-1", "tts-1", "flux", "gpt-image-1"])
def test_what_is_not_priced_by_tokens_of_text(model: str) -> None:
    """An image's price is not zero for its tokens: it is no price for them."""
    with pytest.raises(ValueError):
        cost(model, input=1)


@settings(any_body.PATIENT, max_examples=300)
@given(
    priced=st.sampled_from(PRICES),
    usage=usages,
    more=st.sampled_from(pricing.TOKEN_CLASSES),
    by=st.integers(1, 1000) | st.just(EDGE),
    batch=st.booleans(),
)
def test_one_more_token_never_costs_less(
    priced: tuple[ModelSpec, Price], usage: Usage, more: str, by: int, batch: bool
) -> None:
    price = priced[1]
    grown = Usage(**{**usage.as_dict(), more: getattr(usage, more) + by})

    less, rather = (
        pricing.cost(price, each, RATES[price.currency], batch=batch) for each in (usage, grown)
    )

    assert rather.nano >= less.nano
    assert rather.usd_nano >= less.usd_nano
    assert rather.input_nano >= less.input_nano
    assert rather.output_nano >= less.output_nano >= 0


@st.composite
def shares(draw: st.DrawFn, most: int, names: tuple[str, ...]) -> dict[str, int]:
    """Numbers under these names whose sum is ``most`` at most, often exactly."""
    found, left = {}, most
    for name in names:
        found[name] = draw(st.sampled_from([0, left]) | st.integers(0, left))
        left -= found[name]
    return found


@st.composite
def used(draw: st.DrawFn) -> tuple[ModelSpec, dict[str, Any], Estimate, Price, Usage]:
    """A cleaned request to a priced model, its estimate, and a usage within its bounds."""
    spec, body = draw(any_body.legal().filter(lambda drawn: drawn[0].prices))
    try:
        cleaned = params.clean(spec, body, with_defaults=draw(st.booleans())).params
    except HubError:
        cleaned = {name: body[name] for name in ("messages", "input") if name in body}
    price = draw(st.sampled_from(spec.prices))
    found = pricing.estimate(spec, cleaned, price, RATES[price.currency], priced=True)
    incoming = draw(shares(found.input_tokens, ("input", "cache_read", "cache_write")))
    outgoing = draw(shares(found.output_tokens, ("output", "reasoning")))
    return spec, cleaned, found, price, Usage(**incoming, **outgoing)


@settings(any_body.PATIENT, max_examples=500)
@given(used())
def test_the_estimate_is_never_too_low(
    drawn: tuple[ModelSpec, dict[str, Any], Estimate, Price, Usage],
) -> None:
    """Whatever is used within its bounds, and however it falls into classes: it was held."""
    _, _, held, price, usage = drawn

    assert usage.total_tokens <= held.tokens
    assert pricing.cost(price, usage, RATES[price.currency]).usd_nano <= held.usd_nano


@settings(any_body.PATIENT, max_examples=300)
@given(
    priced=st.sampled_from(PRICES),
    incoming=counts,
    outgoing=counts,
    usd=st.decimals("0.0001", "10", places=6),
    batch=st.booleans(),
)
def test_many_are_estimated_as_one_is(
    priced: tuple[ModelSpec, Price], incoming: int, outgoing: int, usd: Decimal, batch: bool
) -> None:
    spec, price = priced
    rate = Rate(price.currency, usd, TODAY)
    alone = pricing.estimate_of(incoming, outgoing, price, rate, batch=batch)
    assert pricing.Estimator(spec, price, rate, priced=True, batch=batch).at(incoming, outgoing) == alone


@settings(any_body.PATIENT, max_examples=300)
@given(priced=st.sampled_from(PRICES), usage=usages, batch=st.booleans())
def test_many_are_priced_as_one_is(priced: tuple[ModelSpec, Price], usage: Usage, batch: bool) -> None:
    _, price = priced
    rate = RATES[price.currency]
    assert pricing.Pricer(price, rate, batch=batch).of(usage) == pricing.cost(
        price, usage, rate, batch=batch
    )


@settings(any_body.PATIENT, max_examples=300)
@given(priced=st.sampled_from(PRICES), usage=usages)
def test_an_unpriced_model_is_held_at_the_dearest(priced: tuple[ModelSpec, Price], usage: Usage) -> None:
    """For any usage, cached or not, above every tier: no listed price of its kind costs more."""
    spec, price = priced
    alike = [p for s, p in PRICES if (s.provider, s.kind) == (spec.provider, spec.kind)]

    dearest = pricing.pessimistic(alike)

    assert dearest is not None
    assert (dearest.currency, dearest.unit) == (price.currency, "per_1M_tokens")
    rate = RATES[price.currency]
    assert pricing.cost(dearest, usage, rate).nano >= pricing.cost(price, usage, rate).nano


def test_no_price_to_be_held_at() -> None:
    assert pricing.pessimistic([]) is None
    assert pricing.pessimistic([price_of("dall-e-3"), price_of("gpt-image-1")]) is None


class TestBounds:
    HELLO = [{"role": "user", "content": "Hello"}]

    @pytest.mark.parametrize(
        ("model", "body", "tokens"),
        [
            ("gpt-4o", {"max_tokens": 10}, 10),
            ("gpt-4o", {"max_completion_tokens": 10}, 10),
            ("gpt-4o", {"max_tokens": 10, "n": 3}, 30),
            ("gpt-4o", {}, 16_384),
            ("gpt-4o", {"n": 2}, 32_768),
            ("gpt-4o", {"max_tokens": 99_999}, 16_384),
            # No cap is known of it: no more than its window holds can come out.
            ("moonshotai/Kimi-K2.6", {}, 256_000),
            ("moonshotai/Kimi-K2.6", {"max_completion_tokens": 300_000}, 256_000),
            ("mixtral", {}, 5000),
            ("text-embedding-3-small", {}, 0),
        ],
    )
    def test_output(self, model: str, body: dict[str, Any], tokens: int) -> None:
        assert pricing.output_bound(loading.models()[model], body) == tokens

    def test_input_of_a_chat_fits_its_window(self) -> None:
        long = [{"role": "user", "content": "a" * 200_000}]
        found = estimate("gpt-4o", {"messages": long, "max_tokens": 1})

        assert found.input_tokens == 128_000
        assert found.usd_nano == 128_000 * 2500 + 10_000

    def test_input_of_embeddings_is_a_window_each(self) -> None:
        """2,048 texts may be sent at once: the window holds each of them, not all."""
        found = estimate("text-embedding-3-small", {"input": ["a" * 8000] * 100})

        assert found.input_tokens == 800_000 + 8
        assert found.usd_nano == found.input_tokens * 20

    def test_cache_writes_are_counted_upon(self) -> None:
        found = estimate("gpt-6-luna", {"messages": self.HELLO, "max_completion_tokens": 1})

        assert (found.input_tokens, found.output_tokens, found.tokens) == (21, 1, 22)
        assert found.usd_nano == 21 * 125 + 500
        assert found.priced is True

    def test_fractions_go_up(self) -> None:
        found = estimate("moonshotai/Kimi-K2.6", {"messages": self.HELLO, "max_completion_tokens": 1})

        exact = (21 * 600 + 3000) * Decimal("1.2437")
        assert exact < found.usd_nano < exact + 1
