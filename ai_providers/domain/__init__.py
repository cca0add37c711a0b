"""Rules about models, parameters, tokens and prices; free of any framework."""
