"""Maintenance of the database: invariants, retention, and the integrity of the audit."""
