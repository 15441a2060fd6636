"""Steps in containers (DAG format 2.13, 4.4)."""

__all__ = ["recovery_note"]
