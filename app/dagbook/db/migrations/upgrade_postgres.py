"""Preconditions of a migration on PostgreSQL: privileges, locks on all tables, and no incompatible server."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dagbook.db.errors import DatabaseUnavailable, is_serialization_failure
from dagbook.db.url import PUBLIC

_log = logging.getLogger(__name__)

# An arbitrary number that all versions of Dagbook share.
_ADVISORY_LOCK = 0x44616762
# Below deadlock_timeout (one second by default): in a deadlock the upgrade times out before PostgreSQL cancels a
# transaction, so servers and their requests lose only this time.
_LOCK_MILLISECONDS = 500
_NOT_IN_TIME = "55P03"
PATIENCE_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
# Writers lock these first. Later writers wait there, before they hold any lock that the upgrade waits for.
_FIRST_TABLES = ("run_attempts", "runs")
_OTHER_TABLES = ("alembic_version", "pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics")

_RIGHTS = text("""
    SELECT quote_ident(current_user) AS role, has_schema_privilege(oid, 'USAGE') AS can_use,
        has_schema_privilege(oid, 'CREATE') AS can_create,
        (SELECT quote_ident(relowner::regrole::text) FROM pg_class
         WHERE relnamespace = pg_namespace.oid AND relname = 'alembic_version'
         AND NOT pg_has_role(relowner, 'USAGE')) AS other_owner
    FROM pg_namespace WHERE nspname = :schema
""")
_TABLES = text("SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'")
_SERVERS = text("""
    SELECT coalesce(nullif(address, ''), host || ' process ' || pid) FROM services
    WHERE stopped_at IS NULL AND lease_until >= now() ORDER BY id LIMIT 5
""")
_HOLDERS = text("""
    SELECT DISTINCT 'process ' || pid || ' of PostgreSQL (' || coalesce(nullif(application_name, ''), 'no name') || ')'
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE relation IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
        AND granted AND pid <> pg_backend_pid() LIMIT 5
""")


class UnusableDatabase(Exception):  # noqa: N818  # shown to users, not handled
    """The database does not meet the requirements of this version; the message contains the fix."""


def lock_migrations(connection: Connection, schema: str) -> None:
    """Lock migrations of the same tables until the end of the transaction."""
    lock = str(_ADVISORY_LOCK) if schema == PUBLIC else f"hashtext('dagbook upgrade of {schema}')"
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")


def require_schema(connection: Connection, schema: str) -> None:
    """Raise ``UnusableDatabase`` when the schema is missing or the role may not use it, so that no table is visible."""
    rights = connection.execute(_RIGHTS, {"schema": schema}).one_or_none()
    if rights is None:
        raise UnusableDatabase(
            f"the database has no schema {schema} (setting database_schema); "
            f"as the database's owner: CREATE SCHEMA {schema}"
        )
    if not rights.can_use:
        raise UnusableDatabase(
            f"the PostgreSQL role {rights.role} may not use the schema {schema} (setting database_schema); "
            f"as its owner: GRANT USAGE ON SCHEMA {schema} TO {rights.role}"
        )


def prepare_revision(connection: Connection, schema: str, here: str | None, *, breaking: bool) -> None:
    """Lock all tables for a transaction, so that the migration does not wait; raises ``UnusableDatabase``."""
    _require_rights(connection, schema, here)
    if here is None:
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
    _lock_tables(connection)
    if breaking:
        _require_no_server(connection)


def _require_rights(connection: Connection, schema: str, here: str | None) -> None:
    require_schema(connection, schema)
    rights = connection.execute(_RIGHTS, {"schema": schema}).one()
    if rights.other_owner is not None:
        raise UnusableDatabase(
            f"the database is at revision {here}, and the PostgreSQL role {rights.role} may not upgrade it: the tables "
            f"belong to {rights.other_owner}; run dagbook db upgrade as that role"
        )
    if not rights.can_create:
        raise UnusableDatabase(
            f"the PostgreSQL role {rights.role} may not create tables in schema {schema} (setting database_schema); "
            f"as its owner: GRANT USAGE, CREATE ON SCHEMA {schema} TO {rights.role}"
        )


def _lock_tables(connection: Connection) -> None:
    # Imported here, because the command line must not load the models only to print the revision.
    from dagbook.db.models import Run  # noqa: PLC0415

    found = set(connection.execute(_TABLES).scalars())
    others = sorted({*Run.metadata.tables, *_OTHER_TABLES} - set(_FIRST_TABLES))
    names = [name for name in (*_FIRST_TABLES, *others) if name in found]
    connection.exec_driver_sql(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")


def _require_no_server(connection: Connection) -> None:
    servers = connection.execute(_SERVERS).scalars().all()
    if servers:
        raise UnusableDatabase(
            "the next revision of the database is incompatible with servers and workers of earlier versions, and some "
            f"are running: {', '.join(servers)}; stop them, then upgrade"
        )


async def retry_until_done(connection: AsyncConnection, advance: Callable[[Connection], bool], patience: float) -> bool:
    """Retry a migration while other transactions hold its tables; raises DatabaseUnavailable after ``patience``."""
    started, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await connection.run_sync(advance)
        except DBAPIError as error:
            if not (is_serialization_failure(error) or getattr(error.orig, "sqlstate", None) == _NOT_IN_TIME):
                raise
            holders = (await connection.execute(_HOLDERS)).scalars().all()
            await connection.rollback()
            if time.monotonic() > started + patience:
                raise DatabaseUnavailable(
                    f"the upgrade could not lock the tables within {patience:g} seconds",
                    f"they are in use by {', '.join(holders) or 'others'}; end long transactions there, and try again",
                ) from error
            if pause == _LONGEST_PAUSE_SECONDS:
                _log.warning("the upgrade waits for tables in use by %s", ", ".join(holders) or "others")
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
