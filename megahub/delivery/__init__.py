"""What must be told: the outbox, webhook endpoints, deliveries. Told at least once, signed, in no order."""
