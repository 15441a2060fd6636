"""Running and checking the Alembic revisions."""
