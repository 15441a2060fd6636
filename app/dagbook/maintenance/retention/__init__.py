"""Retention: which runs are deleted, and their deletion in batches."""

__all__ = ["dag_retention", "deletion", "limits", "policies", "retention"]
