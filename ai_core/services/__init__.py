"""The job's moves in the database: accept, claim, settle, cancel, recover. Compare-and-swap, always.

Each module holds journal writers; ``pipeline`` calls them, nothing else moves a job.
"""
