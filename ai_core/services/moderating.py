"""The provider's moderation of a text, through the company's own way to it.

It costs nothing at the provider and makes no job: what it flags is counted as a finding of the content
filter (``guarding``).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from django.conf import settings

from ai_core.services import calls
from ai_providers import selectors as providers
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain.wire import Call
from megahub.kernel.errors import ProviderMalformed

MODEL = "omni-moderation-latest"


async def categories(company_id: int, text: str, request_id: str) -> list[str]:
    """What is flagged in a text. Raises HubErrors and TimeoutError when it cannot be asked."""
    terms = await providers.terms(company_id, MODEL)
    access, body = terms.accesses[0], None
    chunks = ADAPTERS[access.provider].stream(
        Call("moderations", MODEL, {"input": text}), access, terms.spec, request_id
    )
    async with (
        asyncio.timeout(settings.HUB_PROBE_SECONDS),
        calls.watched(access),
        aclosing(chunks) as stream,  # type: ignore[type-var]
    ):
        async for chunk in stream:
            body = chunk.completion.body if chunk.completion is not None else body
    results = (body or {}).get("results")
    if not isinstance(results, list):
        raise ProviderMalformed(provider=access.provider)
    return sorted({name for each in results if each.get("flagged") for name in _flagged(each)})


def _flagged(result: dict[str, object]) -> list[str]:
    """The categories of a result; one without is flagged all the same."""
    named = result.get("categories")
    found = [name for name, hit in named.items() if hit] if isinstance(named, dict) else []
    return found or ["unnamed"]
