"""Seals, verification and pruning of the audit."""
