"""Batches: files of requests, worked through by the provider's batch API or by the hub's own workers."""
