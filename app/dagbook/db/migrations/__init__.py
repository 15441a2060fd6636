"""Schema migrations: Alembic revisions applied and checked."""
