"""Rules about jobs, free of any framework."""
