"""The pages of the money: budgets and limits of rate, the ledger and its figures, alerts, exports."""

from ai_usage.admin import alerts, budgets, exports, figures, ledger, rates

__all__ = ["alerts", "budgets", "exports", "figures", "ledger", "rates"]
