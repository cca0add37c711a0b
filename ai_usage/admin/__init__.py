"""The pages of the money: ``budgets``, and the ``ledger`` with usage and alerts."""

from ai_usage.admin import budgets, ledger

__all__ = ["budgets", "ledger"]
