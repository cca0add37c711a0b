"""Jobs: accepted, claimed, run, settled. ``pipeline.py`` is the one road."""
