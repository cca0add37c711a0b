"""The rules of batches. Pure: no framework, no rows."""
