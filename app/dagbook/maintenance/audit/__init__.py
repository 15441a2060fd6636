"""Seals, verification, pruning and copies of the audit."""

__all__ = ["audit_copy", "audit_pruning", "audit_sealing", "audit_verification"]
