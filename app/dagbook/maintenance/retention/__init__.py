"""Retention: which runs are deleted, and their deletion in batches."""
