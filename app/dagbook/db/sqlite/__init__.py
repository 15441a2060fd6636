"""The SQLite backend."""

__all__ = ["lock_file", "sqlite", "upgrade_copies"]
