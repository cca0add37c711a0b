"""What was changed, by whom, from where and why: append-only, chained by hash, told to its company."""
