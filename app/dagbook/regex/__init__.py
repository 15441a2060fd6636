"""Regular expressions of users, matched in a subprocess with a time limit."""

__all__ = ["client", "worker"]
