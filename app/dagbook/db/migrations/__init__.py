"""Schema migrations: Alembic revisions applied and checked."""

__all__ = ["check", "migration_support", "report_views", "upgrade", "upgrade_postgres"]
