"""What a request needs to know before it is accepted: the model, its price, whose key to use.

``terms`` gathers it for a company and a model and remembers it for seconds; ``forget`` makes an
administrator's change felt at once in this process (and within the cache's seconds in the others).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from ai_providers.adapters.registry import ADAPTERS
from ai_providers.catalogue import loading
from ai_providers.domain import pricing
from ai_providers.domain.pricing import Rate
from ai_providers.domain.spec import ModelSpec, Price
from ai_providers.domain.wire import Access
from ai_providers.models import (
    AICredentials,
    AIModel,
    AIProvider,
    ExchangeRate,
    SealedKey,
)
from megahub.kernel import clock, trail
from megahub.kernel.cache import ShortLived
from megahub.kernel.errors import (
    ModelBlocked,
    ModelNotFound,
    NoApiKey,
    NotFound,
    ServerError,
    ValidationFailed,
)
from megahub.kernel.text import Text
from megahub.tenancy.models import Company

TTL_SECONDS = 5.0
USD = Rate("USD", Decimal(1), date(1970, 1, 1))
#: Where each provider's wire begins at the sandbox.
SANDBOX_PATHS = {"openai": "/v1"}
SANDBOX_KEY = "sk-sandbox"
#: The longest number that a row can have.
MOST_DIGITS = 18
NOT_SPOKEN = "{provider} is in the catalogue, but the hub does not speak to it yet."


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a company may call a model: ``accesses`` in the order of trying.

    ``priced`` is False when ``price`` is only a pessimistic stand-in for an unknown one.
    """

    spec: ModelSpec
    price: Price
    priced: bool
    rate: Rate
    accesses: tuple[Access, ...]

    @property
    def is_sandbox(self) -> bool:
        return self.accesses[0].is_sandbox


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that a company may call today, at a known price."""

    spec: ModelSpec
    price: Price
    rate: Rate
    is_sandbox: bool


async def terms(company_id: int, model_id: str) -> Terms:
    """Raises ModelNotFound, ModelBlocked or NoApiKey."""
    return await _terms.aget((company_id, model_id))


def forget() -> None:
    """Forget all terms of this process (after a change of credentials, models, prices, rates)."""
    _terms.forget()
    _listing.forget()
    _offers.forget()


def model(model_id: str) -> ModelSpec:
    """The catalogue's row. Raises ModelNotFound with the models that can be called."""
    spec = loading.models().get(model_id)
    if spec is None:
        available = [known.id for known in callable_models()]
        raise ModelNotFound(param="model", model=model_id[:120], available_models=available)
    return spec


def callable_models() -> list[ModelSpec]:
    """The models that can be called today: an adapter speaks to them, neither retired nor blocked."""
    today = clock.now().date()
    return [
        spec
        for spec, _ in listing()
        if spec.provider in ADAPTERS and spec.kind in ("chat", "embeddings") and not spec.is_retired(today)
    ]


def offers(company_id: int) -> list[Offer]:
    """The priced models that a company may call: neither retired nor blocked, and with a key for them."""
    return _offers.get(company_id)


def _load_offers(company_id: int) -> list[Offer]:
    callable_today = {spec.id for spec in callable_models()}
    ways: dict[str, tuple[Access, ...]] = {}
    for provider in ADAPTERS:
        try:
            ways[provider] = accesses(company_id, provider)
        except NoApiKey:
            continue
    today = clock.now().date()
    known = [
        (spec, price) for spec, price in listing() if spec.id in callable_today and spec.provider in ways
    ]
    priced = [(spec, price) for spec, price in known if price is not None]
    rates = {currency: rate_of(currency, today) for currency in {price.currency for _, price in priced}}
    return [
        Offer(spec, price, rates[price.currency], ways[spec.provider][0].is_sandbox)
        for spec, price in priced
    ]


def price_of(spec: ModelSpec, day: date, override: AIModel | None = None) -> tuple[Price, bool]:
    """(price in force on ``day``, True), or (the provider's dearest, False) for an unpriced model.

    ``override``: as if that were the administrator's word.
    """
    row = override or AIModel.objects.filter(model_id=spec.id).first()
    listed = _listed(spec, row, day)
    if listed is not None:
        return listed, True
    found = pricing.pessimistic(_prices_like(spec, day))
    if found is None:
        raise ServerError("There is no price to hold for {model}.", model=spec.id)
    return found, False


def listing() -> list[tuple[ModelSpec, Price | None]]:
    """Every model that a client may know (the retired ones too), with its price in force or None."""
    return _listing.get(0)


def models_of_tier(tier: str) -> list[str]:
    """The models whose quality the catalogue says is ``tier``."""
    return [spec.id for spec, _ in listing() if spec.profile.quality == tier]


def _load_listing(_: int) -> list[tuple[ModelSpec, Price | None]]:
    rows = {row.model_id: row for row in AIModel.objects.all()}
    today = clock.now().date()
    return [
        (spec, _listed(spec, rows.get(spec.id), today))
        for spec in loading.models().values()
        if not (switched_off(spec) or (spec.id in rows and rows[spec.id].is_blocked))
    ]


def switched_off(spec: ModelSpec) -> bool:
    """Whether the installation has no reasoning models (AI_ENABLE_O3) and this is one."""
    return spec.is_reasoning and not settings.AI_ENABLE_O3


def rate_of(currency: str, day: date) -> Rate:
    """The newest rate of ``currency`` by ``day``. Raises ServerError when none is known."""
    if currency == "USD":
        return USD
    row = ExchangeRate.objects.filter(currency=currency, day__lte=day).order_by("-day").first()
    if row is None:
        raise ServerError("No exchange rate is known for {currency}.", currency=currency)
    return Rate(currency, row.usd, row.day)


def accesses(company_id: int, provider: str) -> tuple[Access, ...]:
    """The ways to reach a provider for a company: own key, the hub's (opted in), the sandbox.

    The sandbox answers only as long as the company has no real key at all, so that real and played
    figures never meet. Raises NoApiKey when there is no way.
    """
    known = AIProvider.objects.filter(name=provider).first()
    if known is not None and not known.is_active:
        raise NoApiKey("{provider} is switched off by the administrator.", provider=provider)
    base_url = base_url_of(provider, known)
    credentials = AICredentials.objects.of(company_id).first()
    found = []
    live = SealedKey.objects.of(company_id).filter(retired_at=None)
    key = live.select_related("credentials").filter(provider=provider).first()
    if credentials is not None and key is not None:
        found.append(access_of(key, base_url))
    shared = access_of_the_hub(provider, base_url)
    if credentials is not None and credentials.use_global_fallback and shared is not None:
        found.append(shared)
    if not found and not live.exists() and _may_play(company_id):
        sandbox_url = settings.HUB_SANDBOX_URL + SANDBOX_PATHS.get(provider, "")
        extra = {"product_id": "sandbox"}
        found.append(_access(provider, "sandbox", sandbox_url, SANDBOX_KEY, extra, None))
    if not found:
        raise NoApiKey(provider=provider)
    return tuple(found)


def plays(company_id: int) -> bool:
    """Whether a company's jobs are played by the sandbox: it has no real key, own or shared.

    Lists that add figures up show the sandbox's to such a company, and real ones to every other.
    """
    if SealedKey.objects.of(company_id).filter(retired_at=None).exists():
        return False
    shares = AICredentials.objects.of(company_id).filter(use_global_fallback=True).exists()
    shared = any(provider.get("api_key") for provider in settings.HUB_PROVIDERS.values())
    return not (shares and shared) and _may_play(company_id)


def access_of(key: SealedKey, base_url: str | None = None) -> Access:
    """The way with a company's own key. Raises NoApiKey when it does not open for the address."""
    base_url = base_url_of(key.provider) if base_url is None else base_url
    extra = own_extra(key.credentials, key.provider)
    return _access(key.provider, "own", base_url, key.open(base_url), extra, key.pk)


def access_of_the_hub(provider: str, base_url: str | None = None) -> Access | None:
    """The way with the hub's own key; None when it has none for the provider."""
    known = settings.HUB_PROVIDERS.get(provider, {})
    if not known.get("api_key"):
        return None
    base_url = base_url_of(provider) if base_url is None else base_url
    extra = {"product_id": known.get("product_id", "")}
    return _access(provider, "global", base_url, known["api_key"], extra, None)


def provider_named(name: str, field: str = "provider") -> AIProvider:
    """The provider of that name. Raises ValidationFailed with the known names."""
    found = None if "\0" in name else AIProvider.objects.filter(name=name).first()
    if found is None:
        known = list(AIProvider.objects.order_by("name").values_list("name", flat=True))
        text = Text("Unknown provider; one of {providers}.", providers=known)
        raise ValidationFailed(field_errors={field: [text]}, param=field, suggestions=known)
    return found


def provider_of(ref: str) -> AIProvider:
    """A provider by number or name. Raises NotFound."""
    by_number = ref.isdecimal() and len(ref) <= MOST_DIGITS
    found = AIProvider.objects.filter(**({"pk": int(ref)} if by_number else {"name": ref})).first()
    if found is None:
        raise NotFound
    return found


def is_played(company_id: int, provider: str) -> bool:
    """Whether the company's calls of a provider would be answered by the sandbox now."""
    try:
        return accesses(company_id, provider)[0].is_sandbox
    except NoApiKey:
        return False


def credentials_of(company_id: int) -> AICredentials | None:
    """A company's credentials; None when there are none, or they were taken away."""
    found: AICredentials | None = AICredentials.objects.of(company_id).filter(deleted_at=None).first()
    return found


def live_keys(company_id: int) -> dict[str, SealedKey]:
    """A company's keys in use, by provider."""
    rows = SealedKey.objects.of(company_id).filter(retired_at=None).order_by("pk")
    return {key.provider: key for key in rows}


def facts_of(company_id: int) -> dict[str, Any] | None:
    """A company's credentials as the audit trail may tell them; None when there are none."""
    row = credentials_of(company_id)
    if row is None:
        return None
    live = live_keys(company_id)
    keys = {f"{name}_api_key": f"…{key.last_four} ({key.pk})" for name, key in live.items()}
    return {**(trail.facts(row) or {}), **keys}


def keys_of(company_id: int) -> QuerySet[SealedKey]:
    """A company's keys of all times, the latest first, with the people who stored and retired them."""
    rows: QuerySet[SealedKey] = SealedKey.objects.of(company_id)
    return rows.select_related("created_by", "retired_by").order_by("-created_at", "-pk")


def base_url_of(provider: str, row: AIProvider | None = None) -> str:
    """Where a provider is reached: the administrator's address, else the settings'."""
    row = row or AIProvider.objects.filter(name=provider).first()
    chosen = row.base_url if row is not None else ""
    return (chosen or settings.HUB_PROVIDERS.get(provider, {}).get("base_url", "")).rstrip("/")


def own_extra(credentials: AICredentials, provider: str) -> dict[str, str]:
    """What a provider needs beside the company's key."""
    if provider == "infomaniak":
        return {"product_id": credentials.infomaniak_product_id}
    if provider == "openai":
        return {"organization": credentials.openai_organization}
    return {}


def _may_play(company_id: int) -> bool:
    return (
        bool(settings.HUB_SANDBOX_URL) and Company.objects.filter(pk=company_id, use_sandbox=True).exists()
    )


def _access(
    provider: str, source: str, base_url: str, key: str, extra: dict[str, str], key_id: int | None
) -> Access:
    return Access(
        provider=provider,
        source=source,  # type: ignore[arg-type]
        base_url=base_url,
        api_key=key,
        extra=extra,
        credentials_id=key_id,
        connect_seconds=settings.HUB_PROVIDER_CONNECT_SECONDS,
        first_byte_seconds=settings.HUB_PROVIDER_FIRST_BYTE_SECONDS,
        between_bytes_seconds=settings.HUB_PROVIDER_BETWEEN_BYTES_SECONDS,
    )


def _load(key: tuple[int, str]) -> Terms:
    company_id, model_id = key
    spec = model(model_id)
    if switched_off(spec) or AIModel.objects.filter(model_id=model_id, is_blocked=True).exists():
        raise ModelBlocked(param="model", model=model_id)
    if spec.provider not in ADAPTERS:
        raise NoApiKey(NOT_SPOKEN, provider=spec.provider)
    today = clock.now().date()
    price, priced = price_of(spec, today)
    rate = rate_of(price.currency, today)
    return Terms(spec, price, priced, rate, accesses(company_id, spec.provider))


def _listed(spec: ModelSpec, row: AIModel | None, day: date) -> Price | None:
    """The token price in force: an administrator's goes before the catalogue's of that day or earlier."""
    listed = spec.price_at(day)
    own = _own_price(row) if row is not None else None
    if own is not None and own.since <= day and (listed is None or own.since >= listed.since):
        return own
    return listed if listed is not None and listed.unit == "per_1M_tokens" else None


def _own_price(row: AIModel) -> Price | None:
    if row.input_price is None or row.price_since is None:
        return None
    named = {
        "input": row.input_price,
        "cache_read": row.cache_read_price,
        "cache_write": row.cache_write_price,
        "output": row.output_price,
    }
    rates = {name: amount for name, amount in named.items() if amount is not None}
    return Price(row.price_since, row.currency, "per_1M_tokens", rates, source="administrator")


def _prices_like(spec: ModelSpec, day: date) -> list[Price]:
    """The prices of the same provider's models of the same kind."""
    alike = (m for m in loading.models().values() if m.provider == spec.provider and m.kind == spec.kind)
    return [price for m in alike if (price := m.price_at(day)) is not None]


_terms: ShortLived[tuple[int, str], Terms] = ShortLived(_load, TTL_SECONDS)
_listing: ShortLived[int, list[tuple[ModelSpec, Price | None]]] = ShortLived(_load_listing, TTL_SECONDS)
_offers: ShortLived[int, list[Offer]] = ShortLived(_load_offers, TTL_SECONDS)
