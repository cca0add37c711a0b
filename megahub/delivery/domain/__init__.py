"""Rules of telling, free of any framework: signatures, addresses, retries, events."""
