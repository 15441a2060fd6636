"""Alembic environment: uses the connection passed by Dagbook, or on the command line a URL.

``alembic -x url=sqlite:///dagbook.db upgrade head``, or the URL in ``DAGBOOK_DATABASE_URL``; on PostgreSQL
``-x schema=…`` or ``DAGBOOK_DATABASE_SCHEMA``.
"""

from __future__ import annotations

import asyncio
import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

import dagbook.db.models  # noqa: F401  # fills the metadata
from dagbook.db.migrations.upgrade import open_for_migration
from dagbook.db.types import Base
from dagbook.db.url import PUBLIC


def migrate(connection: Connection) -> None:
    # The models' server defaults are the same for both databases; dagbook.db.migrations.check compares them instead.
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_url() -> None:
    options = context.get_x_argument(as_dictionary=True)
    url = options.get("url") or os.environ.get("DAGBOOK_DATABASE_URL")
    schema = options.get("schema") or os.environ.get("DAGBOOK_DATABASE_SCHEMA") or PUBLIC
    if not isinstance(url, str) or not isinstance(schema, str):
        raise CommandError("no database given; use -x url=… or DAGBOOK_DATABASE_URL")
    async with open_for_migration(url, schema=schema) as connection:
        await connection.run_sync(migrate)


if context.is_offline_mode():
    raise CommandError("the migrations read the database that they change, so they cannot be printed as SQL")
passed: Connection | None = context.config.attributes.get("connection")
if passed is None:
    asyncio.run(migrate_url())
else:
    migrate(passed)
