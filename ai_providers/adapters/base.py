"""What an adapter is: ``stream(call, access)``, and nothing that retries, prices or stores.

A new provider is one file here, one line in ``registry``, one TOML in the catalogue and one folder
under ``tests/wire/``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from ai_providers.domain.spec import ModelSpec
from ai_providers.domain.wire import Access, Call, Chunk


class Adapter(Protocol):
    """A provider's wire. Errors leave it as HubErrors, mapped by status and code."""

    name: str

    def stream(self, call: Call, access: Access, spec: ModelSpec, request_id: str) -> AsyncIterator[Chunk]:
        """Send the call once: one chunk with the completion, or a stream's chunks as they come.

        A stream that returns has said everything; ``gathering`` makes the completion of its chunks.
        ``request_id`` is the attempt's name at the provider. Raises InvalidApiKey, RateLimited,
        ProviderRefused, ModelNotFound, ContextLengthExceeded, ProviderError and its kin.
        """

    def check(self, access: Access) -> None:
        """Raise NoApiKey when something is missing that calls need beside the key."""

    async def models(self, access: Access) -> list[dict[str, Any]]:
        """The models that this access may use, as the provider lists them."""
