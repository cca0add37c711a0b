"""Django's PostgreSQL, told before each statement whose rows it may touch."""
