"""The rules of a chain, and its form as CSV. Pure."""
