"""Trying keys at their providers: a list of models, which is free, or one word of a cheap model.

Each try is bounded in time (HUB_PROBE_SECONDS), and several run at once. What it finds of a stored key
is remembered: refused, or sound (again). Nothing here is a job: the few tokens that ``say_a_word`` uses
are told in its answer and stand in no ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from django.conf import settings

from ai_providers import selectors
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain import params, pricing
from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Access, Call, Completion
from ai_providers.models import AIProvider, SealedKey
from ai_providers.services import keys
from megahub.kernel import clock, loop
from megahub.kernel.errors import HubError, InvalidApiKey, NoApiKey, ProviderTimeout

WORD = {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 1}
#: How many keys are tried at a time.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Probe:
    """How a try ended: ``error`` is None when the provider answered; times in whole milliseconds.

    ``source`` says whose key it was (None: there was none), ``tokens`` and ``cost_usd_nano`` what it used.
    """

    provider: str
    source: str | None
    milliseconds: int
    error: HubError | None = None
    model: str | None = None
    tokens: int = 0
    cost_usd_nano: int = 0

    @property
    def status(self) -> str:
        """healthy, error, or not_configured: there is no key to try."""
        if self.error is None:
            return "healthy"
        return "not_configured" if self.source is None and isinstance(self.error, NoApiKey) else "error"


async def health(company_id: int) -> list[Probe]:
    """Every provider with a company's credentials, all at once, by name."""
    return await _all(_listed(company_id, name) for name in await loop.in_thread(_names))


async def say_a_word(company_id: int, provider: str) -> Probe:
    """One token of the provider's cheapest model, with the key that the company's jobs would use."""
    try:
        access = await loop.in_thread(_way, company_id, provider)
        spec = await loop.in_thread(_cheapest, provider)
    except HubError as error:
        return Probe(provider, None, 0, error)
    return await _tried(access, lambda: _word(access, spec), spec.id)


async def list_models(access: Access) -> Probe:
    """One free call with this access."""

    async def call() -> Probe:
        adapter = ADAPTERS[access.provider]
        adapter.check(access)
        await adapter.models(access)
        return Probe(access.provider, access.source, 0)

    return await _tried(access, call, None)


async def all_stored() -> list[tuple[SealedKey, Probe]]:
    """Every live key of every company, each tried with a free call."""
    rows = await loop.in_thread(_live_keys)
    found = await _all(_stored(row) for row in rows)
    return list(zip(rows, found, strict=True))


async def of_the_hub() -> list[Probe]:
    """Every provider with the hub's own key."""
    return await _all(_hubs(name) for name in await loop.in_thread(_names))


async def _all(tries: Iterable[Awaitable[Probe]]) -> list[Probe]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(attempt: Awaitable[Probe]) -> Probe:
        async with gate:
            return await attempt

    return list(await asyncio.gather(*map(one, tries)))


async def _listed(company_id: int, provider: str) -> Probe:
    try:
        access = await loop.in_thread(_way, company_id, provider)
    except HubError as error:
        stored = provider in await loop.in_thread(selectors.live_keys, company_id)
        return Probe(provider, "own" if stored else None, 0, error)
    return await list_models(access)


async def _stored(row: SealedKey) -> Probe:
    try:
        access = await loop.in_thread(selectors.access_of, row)
        _require_adapter(row.provider)
    except HubError as error:
        return Probe(row.provider, "own", 0, error)
    return await list_models(access)


async def _hubs(provider: str) -> Probe:
    access = await loop.in_thread(selectors.access_of_the_hub, provider)
    if access is None or provider not in ADAPTERS:
        return Probe(provider, None, 0, NoApiKey(provider=provider))
    return await list_models(access)


async def _tried(access: Access, call: Callable[[], Awaitable[Probe]], model: str | None) -> Probe:
    """Bound and time a call, and remember of a stored key what it showed."""
    began = time.monotonic()
    seconds = settings.HUB_PROBE_SECONDS
    try:
        async with asyncio.timeout(seconds):
            found = await call()
    except HubError as error:
        found = Probe(access.provider, access.source, 0, error, model)
    except TimeoutError:
        found = Probe(access.provider, access.source, 0, ProviderTimeout(provider=access.provider), model)
    found = replace(found, milliseconds=round((time.monotonic() - began) * 1000))
    await _remember(access, found)
    return found


async def _remember(access: Access, found: Probe) -> None:
    if access.credentials_id is None:
        return
    if found.error is None:
        await loop.in_thread(keys.mark_sound, access.credentials_id)
    elif isinstance(found.error, InvalidApiKey):
        sound = await loop.in_thread(keys.mark_refused, access.credentials_id)
        found.error.facts["last_validated"] = clock.iso(sound)


async def _word(access: Access, spec: ModelSpec) -> Probe:
    """Send the word; what it used is priced as a job's would be."""
    call = Call("chat", spec.id, params.clean(spec, WORD, with_defaults=False).params)
    completion: Completion | None = None
    async for chunk in ADAPTERS[access.provider].stream(call, access, spec, "connection-test"):
        completion = chunk.completion or completion
    assert completion is not None
    cost = await loop.in_thread(_cost, spec, completion)
    return Probe(
        access.provider, access.source, 0, None, spec.id, completion.usage.total_tokens, cost.usd_nano
    )


def _cost(spec: ModelSpec, completion: Completion) -> pricing.Cost:
    day = clock.now().date()
    price, _ = selectors.price_of(spec, day)
    return pricing.cost(price, completion.usage, selectors.rate_of(price.currency, day))


def _names() -> list[str]:
    return list(AIProvider.objects.order_by("name").values_list("name", flat=True))


def _live_keys() -> list[SealedKey]:
    rows = SealedKey.objects.unscoped().filter(retired_at=None).order_by("pk")
    return list(rows.select_related("company", "credentials"))


def _way(company_id: int, provider: str) -> Access:
    """The way that a company's next job would take. Raises NoApiKey."""
    access = selectors.accesses(company_id, provider)[0]
    _require_adapter(provider)
    return access


def _require_adapter(provider: str) -> None:
    if provider not in ADAPTERS:
        raise NoApiKey(selectors.NOT_SPOKEN, provider=provider)


def _cheapest(provider: str) -> ModelSpec:
    """The chat model whose tokens cost least; a reasoning model only where there is no other."""
    day = clock.now().date()
    chats = [m for m in selectors.callable_models() if m.provider == provider and m.kind == "chat"]
    if not chats:
        raise NoApiKey("No chat model of {provider} can be called.", provider=provider)

    def dearness(spec: ModelSpec) -> tuple[bool, bool, Decimal, str]:
        price, priced = selectors.price_of(spec, day)
        return spec.is_reasoning, not priced, sum(price.rates.values(), Decimal(0)), spec.id

    return min(chats, key=dearness)
