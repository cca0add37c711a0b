"""The pages of who may call the hub: ``companies``, ``people``, and the ``keys`` that let them in."""

from megahub.tenancy.admin import companies, keys, people

__all__ = ["companies", "keys", "people"]
