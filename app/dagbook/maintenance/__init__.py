"""Maintenance of the database: invariants, retention, and the integrity of the audit."""

__all__ = ["audit", "backup", "change_pruning", "doctor", "retention"]
