"""Writing the outbox, spreading it to endpoints, sending, and keeping endpoints."""
