"""Which adapter speaks to which provider. A provider without one is in the catalogue only."""

from __future__ import annotations

from ai_providers.adapters.base import Adapter
from ai_providers.adapters.infomaniak import Infomaniak
from ai_providers.adapters.openai import OpenAI

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (OpenAI(), Infomaniak())}
