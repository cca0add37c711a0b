"""The pages of the money: ``budgets`` (``companies``), ``ledger``, ``figures``, ``alerts``, ``exports``."""

from ai_usage.admin import alerts, budgets, companies, exports, figures, ledger

__all__ = ["alerts", "budgets", "companies", "exports", "figures", "ledger"]
