"""The provider's moderation of texts and images, through the company's own way to it.

It costs nothing at the provider and makes no job: what it flags is counted as a finding of the content
filter (``guarding``).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from django.conf import settings

from ai_core.services import calls
from ai_guard.domain import rules
from ai_providers import selectors as providers
from ai_providers.adapters.registry import ADAPTERS
from ai_providers.domain.wire import Call
from ai_providers.selectors import Terms
from megahub.kernel.errors import ProviderMalformed

MODEL = "omni-moderation-latest"
#: The provider takes one image at a time, and one piece of a text; so many are with it at once.
AT_ONCE = 4


async def categories(company_id: int, text: str, images: list[str], request_id: str) -> list[str]:
    """What is flagged in a text, piece by piece, and in images.

    Raises HubErrors, and TimeoutError when one of the questions is not answered in time.
    """
    terms = await providers.terms(company_id, MODEL)
    inputs: list[Any] = [each for each in rules.pieces(text) if each.strip()]
    inputs += [[{"type": "image_url", "image_url": {"url": each}}] for each in dict.fromkeys(images)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def asked(number: int, shown: Any) -> set[str]:
        async with gate, asyncio.timeout(settings.HUB_PROBE_SECONDS):
            return await _flagged_in(shown, terms, f"{request_id}-{number}" if number else request_id)

    questions = [asyncio.ensure_future(asked(number, shown)) for number, shown in enumerate(inputs)]
    try:
        return sorted(set().union(*await asyncio.gather(*questions)))
    finally:
        for each in questions:
            each.cancel()  # of those that go on after one has failed


async def _flagged_in(shown: Any, terms: Terms, request_id: str) -> set[str]:
    """The categories of one text, or of one image."""
    access, body = terms.accesses[0], None
    chunks = ADAPTERS[access.provider].stream(
        Call("moderations", MODEL, {"input": shown}), access, terms.spec, request_id
    )
    async with (
        calls.watched(access),
        aclosing(chunks) as stream,  # type: ignore[type-var]
    ):
        async for chunk in stream:
            body = chunk.completion.body if chunk.completion is not None else body
    results = (body or {}).get("results")
    if not isinstance(results, list):
        raise ProviderMalformed(provider=access.provider)
    return {name for each in results if each.get("flagged") for name in _flagged(each)}


def _flagged(result: dict[str, object]) -> list[str]:
    """The categories of a result; one without is flagged all the same."""
    named = result.get("categories")
    found = [name for name, hit in named.items() if hit] if isinstance(named, dict) else []
    return found or ["unnamed"]
