"""Rules about texts. Pure."""
