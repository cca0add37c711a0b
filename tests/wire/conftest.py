"""A provider that plays back, for each test; the hub's connections are closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from ai_providers.adapters import http
from tests.wire.replay import Provider, listening


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    """It listens on a port of its own."""
    async with listening() as found:
        yield found
        await http.close()
