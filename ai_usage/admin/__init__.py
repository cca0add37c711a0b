"""The pages of the money: ``budgets``, ``rates`` (limits), and ``ledger``, ``figures``, ``alerts``, ``exports``."""

from ai_usage.admin import alerts, budgets, exports, figures, ledger, rates

__all__ = ["alerts", "budgets", "exports", "figures", "ledger", "rates"]
