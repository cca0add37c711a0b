"""Money in the journal's transactions: ``budgets`` hold and charge, ``ledger`` appends, ``alerts`` tell."""
