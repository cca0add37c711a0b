"""The foundation: errors and their surfaces, the journal, the hot lane, money, time.

Imports no app of the project (checked by import-linter).
"""
