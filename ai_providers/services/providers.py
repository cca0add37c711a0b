"""The rows of the providers that the catalogue names."""

from __future__ import annotations

from ai_providers import selectors
from ai_providers.catalogue import loading
from ai_providers.models import AIProvider

DISPLAY_NAMES = {
    "openai": "OpenAI",
    "infomaniak": "Infomaniak",
    "anthropic": "Anthropic",
    "google": "Google",
}


def provide() -> dict[str, bool]:
    """Add the providers that are missing; by name, whether it was."""
    found = {}
    for name in loading.PROVIDERS:
        defaults = {"display_name": DISPLAY_NAMES.get(name, name)}
        found[name] = AIProvider.objects.get_or_create(name=name, defaults=defaults)[1]
    selectors.forget()
    return found
