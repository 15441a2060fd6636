"""Handlers, in packages by noun: a repository or query for reading, a use case for changing."""

__all__ = ["accounts", "dags", "queues", "runs", "system"]
