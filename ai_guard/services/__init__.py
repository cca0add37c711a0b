"""Policies and what they found."""
