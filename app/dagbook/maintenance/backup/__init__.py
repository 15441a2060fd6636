"""Backups of the database, their restore into an empty place, and the copies that upgrades leave."""

__all__ = ["backup", "files", "restore", "snapshot", "sqlite_copy"]
