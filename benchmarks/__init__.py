"""Benchmarks: one command each, printing its rows and the machine; see docs/performance.md."""
