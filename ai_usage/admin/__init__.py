"""The pages of the money: ``budgets``, and the ``ledger``, ``figures``, ``alerts`` and ``exports``."""

from ai_usage.admin import alerts, budgets, exports, figures, ledger

__all__ = ["alerts", "budgets", "exports", "figures", "ledger"]
