"""Handlers, in packages by noun: a repository or query for reading, a use case for changing."""

__all__ = ["accounts", "alerts", "batches", "dags", "queues", "runs", "system", "triggers"]
