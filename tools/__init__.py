"""The launcher behind ``./hub``; only ``prepare``, a process of its own, imports the project."""
