"""The pages of the money: budgets (companies' too), rates, the ledger, figures, alerts and exports."""

from ai_usage.admin import alerts, budgets, companies, exports, figures, ledger, rates

__all__ = ["alerts", "budgets", "companies", "exports", "figures", "ledger", "rates"]
