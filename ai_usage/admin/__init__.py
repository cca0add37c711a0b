"""The pages of the money: budgets, rate limits, and the ledger with usage, alerts and exports."""

from ai_usage.admin import alerts, budgets, exports, ledger, rates

__all__ = ["alerts", "budgets", "exports", "ledger", "rates"]
