"""Rules about budgets, free of any framework."""
