"""``keys`` store and retire, ``connections`` try them at their providers, ``backup`` carries them away."""

from ai_providers.services.keys import check_key, empty, mark_refused, mark_sound, store_keys
from ai_providers.services.rates import set_rate

__all__ = ["check_key", "empty", "mark_refused", "mark_sound", "set_rate", "store_keys"]
