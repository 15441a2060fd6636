"""The PostgreSQL backend."""

__all__ = ["postgres", "worker_role"]
