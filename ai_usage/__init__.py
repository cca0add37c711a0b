"""The ledger: what was used, what it cost, which budgets it counts against."""
