"""Schema migrations: Alembic revisions applied and checked."""

__all__ = ["check", "migration_support", "upgrade", "upgrade_postgres"]
