"""MEGAHUB: a multi-tenant AI job hub. Start with ``docs/architecture.md``."""
