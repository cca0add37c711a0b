"""Checking the trail, and anchoring its heads outside the database."""
