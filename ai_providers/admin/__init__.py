"""The pages of who answers: ``providers`` with rates, ``models`` with prices, and whose ``keys``."""

from ai_providers.admin import keys, models, providers

__all__ = ["keys", "models", "providers"]
