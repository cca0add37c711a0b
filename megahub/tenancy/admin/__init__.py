"""The pages of who may call the hub: ``companies``, ``people``, their ``factors`` and ``keys``."""

from megahub.tenancy.admin import companies, factors, keys, people

__all__ = ["companies", "factors", "keys", "people"]
