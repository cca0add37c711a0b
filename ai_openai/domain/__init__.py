"""Bodies in, bodies out, free of any framework."""
