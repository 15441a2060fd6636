"""Snapshots for a post-mortem: a database without accounts and secrets in one SQLite file, which nothing writes to."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import NullPool, create_engine, insert, select

from dagbook.db.database import Database, ReadConnection
from dagbook.db.migrations.upgrade import head, require_head, upgrade
from dagbook.db.sqlite.sqlite import prepare_sqlite
from dagbook.db.types import Base
from dagbook.db.url import sqlite_path
from dagbook.maintenance.backup import sqlite_copy
from dagbook.maintenance.backup.backup import Made
from dagbook.maintenance.backup.files import BackupError, Kind, kind_of, new_file

_MARK = 0x64626B73  # "dbks", the application_id of a snapshot
_BATCH = 500  # rows
# Readers of a snapshot need no account, and must get none: neither hashes of passwords nor tokens.
_ACCOUNTS = (
    "dag_access",
    "grants",
    "user_group_members",
    "user_groups",
    "login_addresses",
    "login_failures",
    "tokens",
    "sessions",
    "users",
)
_WITHOUT_ANSWERS = (  # of receivers, but for times and codes
    "UPDATE alert_deliveries "
    "SET attempts = (SELECT json_group_array(json_remove(value, '$.text')) FROM json_each(attempts))"
)
# Encrypted values, also those that a key would open, and environments and base configurations, in which a value may be
# a secret that is not declared as one: no page and no answer of a server shows those of a base configuration.
_SECRETS = (
    "UPDATE run_inputs SET sealed = NULL, env = '[]', dotenv = '[]', base_environment = NULL, variables = NULL",
    "UPDATE nodes SET output_sealed = NULL, ran = json_remove(ran, '$.env')",
    "UPDATE definitions SET base = NULL",
    "UPDATE sources SET hook_secret = NULL, credentials = NULL",
    "UPDATE alert_channels SET settings = '{}', sealed = NULL, sealed_before = NULL, sealed_before_until = NULL",
    "UPDATE triggers SET sealed = NULL, sealed_before = NULL, sealed_before_until = NULL",
    "UPDATE trigger_events SET body = NULL, headers = '{}', item = NULL",
    _WITHOUT_ANSWERS,
)
_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


async def make_snapshot(
    url: str, schema: str, target: Path, *, replaces: bool, tick: Callable[[int], None] = lambda _bytes: None
) -> Made:
    """Write a snapshot of a database of either engine, whose servers may go on, to a SQLite file.

    It blocks the event loop on SQLite. Raises as ``backup.back_up`` does.
    """
    started = time.monotonic()
    path = sqlite_path(url)
    await require_head(url, schema=schema)
    with new_file(target, replaces=replaces) as part:
        if path is not None:
            sqlite_copy.copy_into(path, part, tick)
            triggers = _drop_triggers(part)
        else:
            await upgrade(f"sqlite:///{part}", keeps_copy=False)
            triggers = _drop_triggers(part)
            await _fill(url, schema, part, tick)
        _remove_secrets(part, triggers)
        sqlite_copy.check_copy(part)
        size = part.stat().st_size
    return Made(file=target, size=size, seconds=time.monotonic() - started, revision=head())


def is_snapshot(file: Path) -> bool:
    """Whether a SQLite file is a snapshot; raises sqlite3.Error."""
    with sqlite_copy.open_file(file, "immutable") as connection:
        return bool(connection.execute("PRAGMA application_id").fetchone()[0] == _MARK)


def check_snapshot(file: Path) -> None:
    """Raise BackupError unless a file is a snapshot of this version, and OSError."""
    if kind_of(file) is not Kind.SQLITE or not is_snapshot(file):
        raise BackupError(f"{file} is no snapshot; make one with `dagbook snapshot FILE`, or restore a backup")
    revision = sqlite_copy.read_revision(file)
    if revision != head():
        raise BackupError(
            f"{file} is of revision {revision}, and this version of Dagbook shows those of {head()}; use the version "
            "that made it"
        )


def _drop_triggers(part: Path) -> list[tuple[str, str]]:
    """Drop the triggers, which refuse most changes, and return each with its statement."""
    with sqlite_copy.open_file(part) as connection:
        triggers: list[tuple[str, str]] = connection.execute(_TRIGGERS).fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
    return triggers


async def _fill(url: str, schema: str, part: Path, tick: Callable[[int], None]) -> None:
    """Copy all rows of a PostgreSQL database, as they are at one moment, but those of accounts."""
    engine = create_engine(f"sqlite:///{part}", poolclass=NullPool)
    prepare_sqlite(engine, writes=True, busy=0)
    tables = [table for table in Base.metadata.sorted_tables if table.name not in _ACCOUNTS]

    def copy(connection: ReadConnection) -> None:
        with engine.begin() as target:
            for table in tables:
                target.execute(table.delete())  # which a migration has filled
                rows = connection.execute(select(table).execution_options(yield_per=_BATCH)).mappings()
                for batch in rows.partitions():
                    target.execute(insert(table), [dict(row) for row in batch])
                tick(part.stat().st_size)

    database = await Database.open(url, schema=schema, application="dagbook snapshot", pool_size=1)
    try:
        await database.snapshot(copy)
    finally:
        await database.close()
        engine.dispose()


def _remove_secrets(part: Path, triggers: list[tuple[str, str]]) -> None:
    """Empty what is secret, make the triggers again, and leave no page on which anything of it was."""
    with sqlite_copy.open_file(part) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            for statement in (*(f"DELETE FROM {table}" for table in _ACCOUNTS), *_SECRETS):  # noqa: S608 - names above
                connection.execute(statement)
            for _, statement in triggers:
                connection.execute(statement)
            connection.execute("COMMIT")
            connection.execute(f"PRAGMA application_id = {_MARK}")
            connection.execute("VACUUM")
        except sqlite3.Error as error:
            raise BackupError(f"the snapshot could not be made: {error}") from error
