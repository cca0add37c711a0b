"""The pages of the money: ``budgets``, and the ``ledger`` with usage, and ``alerts``."""

from ai_usage.admin import alerts, budgets, ledger

__all__ = ["alerts", "budgets", "ledger"]
