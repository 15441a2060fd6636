"""The PostgreSQL backend."""

__all__ = ["postgres", "roles"]
