"""The pages of the money: ``budgets``, and the ``ledger`` with usage, ``alerts`` and ``exports``."""

from ai_usage.admin import alerts, budgets, exports, ledger

__all__ = ["alerts", "budgets", "exports", "ledger"]
