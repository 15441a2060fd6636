"""Seals, verification and pruning of the audit."""

__all__ = ["audit_sealing", "audit_verification"]
