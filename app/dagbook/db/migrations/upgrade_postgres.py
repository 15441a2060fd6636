"""What a revision needs on PostgreSQL before it begins: rights, all tables for itself, no server that it breaks."""

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
from dagbook.settings.database_url import PUBLIC

_log = logging.getLogger(__name__)

# Any number will do, as long as all versions of Dagbook agree on it.
_ADVISORY_LOCK = 0x44616762
# Below deadlock_timeout (one second by default): in a deadlock the upgrade gives way before
# PostgreSQL looks for a victim, so servers and their requests lose nothing but this time.
_LOCK_MILLISECONDS = 500
_NOT_IN_TIME = "55P03"
PATIENCE_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
# Writers lock these first. Those that come later wait there, before they hold anything that the upgrade waits for.
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


class UnusableDatabase(Exception):  # noqa: N818  # told to people, not handled
    """The database is not as this version of Dagbook needs it; says what helps."""


def lock_migrations(connection: Connection, schema: str) -> None:
    """Wait until no other program upgrades the same tables, and keep others waiting until the transaction ends."""
    lock = str(_ADVISORY_LOCK) if schema == PUBLIC else f"hashtext('dagbook upgrade of {schema}')"
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")


def require_schema(connection: Connection, schema: str) -> None:
    """Raise ``UnusableDatabase`` when the role cannot look into the schema, where nothing is seen then."""
    rights = connection.execute(_RIGHTS, {"schema": schema}).one_or_none()
    if rights is None:
        raise UnusableDatabase(
            f"the database has no schema {schema} (setting database_schema); as a role that may: CREATE SCHEMA {schema}"
        )
    if not rights.can_use:
        raise UnusableDatabase(
            f"the PostgreSQL role {rights.role} may not use the schema {schema} (setting database_schema); "
            f"as its owner: GRANT USAGE ON SCHEMA {schema} TO {rights.role}"
        )


def prepare_revision(connection: Connection, schema: str, here: str | None, *, breaking: bool) -> None:
    """Give a transaction all tables, so that a revision waits for nothing; raises ``UnusableDatabase``."""
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
            f"the database is at revision {here}, and the PostgreSQL role {rights.role} may not bring it to that of "
            f"this version of Dagbook: the tables belong to {rights.other_owner}; run dagbook db upgrade as that role"
        )
    if not rights.can_create:
        raise UnusableDatabase(
            f"the PostgreSQL role {rights.role} may not make tables in the schema {schema} (setting database_schema); "
            f"as its owner: GRANT USAGE, CREATE ON SCHEMA {schema} TO {rights.role}"
        )


def _lock_tables(connection: Connection) -> None:
    # Here, and not above: the command line must not load the models to say which revision there is.
    from dagbook.db.models import Run  # noqa: PLC0415

    found = set(connection.execute(_TABLES).scalars())
    others = sorted({*Run.metadata.tables, *_OTHER_TABLES} - set(_FIRST_TABLES))
    names = [name for name in (*_FIRST_TABLES, *others) if name in found]
    connection.exec_driver_sql(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")


def _require_no_server(connection: Connection) -> None:
    servers = connection.execute(_SERVERS).scalars().all()
    if servers:
        raise UnusableDatabase(
            "the next revision of the database breaks what servers and workers of earlier versions do, and there are "
            f"some at work: {', '.join(servers)}; stop them, then upgrade"
        )


async def retry_until_done(connection: AsyncConnection, advance: Callable[[Connection], bool], patience: float) -> bool:
    """Begin a revision anew as long as other transactions do not let it have the tables; raises DatabaseUnavailable."""
    begin, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await connection.run_sync(advance)
        except DBAPIError as error:
            if not (is_serialization_failure(error) or getattr(error.orig, "sqlstate", None) == _NOT_IN_TIME):
                raise
            holders = (await connection.execute(_HOLDERS)).scalars().all()
            await connection.rollback()
            if time.monotonic() > begin + patience:
                raise DatabaseUnavailable(
                    f"the upgrade did not get the tables for itself within {patience:g} seconds",
                    f"they are in use by {', '.join(holders) or 'others'}; end what takes long there, and try again",
                ) from error
            if pause == _LONGEST_PAUSE_SECONDS:
                _log.warning("the upgrade waits for tables that are in use by %s", ", ".join(holders) or "others")
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
