"""Restore of a backup into an empty place, which is held from its first moment on (docs/how-to/backup.md)."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import now
from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations.upgrade import head, open_for_migration, require_known, upgrade
from dagbook.db.migrations.upgrade_postgres import lock_migrations, require_schema
from dagbook.db.repositories import audit, holds
from dagbook.db.repositories.batches import batches
from dagbook.db.repositories.holds import HoldRow
from dagbook.db.repositories.triggers import upkeep
from dagbook.db.url import hide_password, sqlite_path
from dagbook.maintenance.backup import sqlite_copy
from dagbook.maintenance.backup.backup import keys_of, server_version
from dagbook.maintenance.backup.files import BackupError, Kind, kind_of, new_file
from dagbook.maintenance.backup.postgres_programs import Place, find_program, run_program
from dagbook.maintenance.backup.snapshot import is_snapshot
from dagbook.settings.definitions import KEY_FILE

_FIRST_WITH_HOLD, _FIRST_WITH_TRIGGERS, _FIRST_WITH_BATCHES = "0115", "0120", "0124"
_TABLE = re.compile(r"TABLE (\S+) alembic_version ")
# What is there already, or is stored last: without its revision no server takes the tables for a database of Dagbook.
_LEFT_OUT = re.compile(r" (SCHEMA - \S+|COMMENT - SCHEMA \S+|TABLE DATA \S+ alembic_version) ")
_ROW = re.compile(r"^COPY .* FROM stdin;\n(.*)$", re.MULTILINE)
_RELATIONS = text(
    "SELECT relname, relkind = 'r' AS is_table FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace)"
)
_REVISIONS = text("SELECT count(*) FROM alembic_version")
_SET_REVISION = text("INSERT INTO alembic_version (version_num) VALUES (:revision)")
Tick = Callable[[int], None]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore made: the revision of the database, and the seconds that it took."""

    revision: str
    seconds: float


async def restore(url: str, schema: str, file: Path, actor: Actor, tick: Tick = lambda _bytes: None) -> Restored:
    """Restore a backup into a database that is not there yet, or has no tables, and hold it.

    It blocks the event loop. On SQLite the caller holds the lock of the file. Raises BackupError, UnusableDatabase for
    a backup of a newer version, DatabaseUnavailable and OSError.
    """
    started = time.monotonic()
    path, kind = sqlite_path(url), kind_of(file)
    wanted = Kind.ARCHIVE if path is None else Kind.SQLITE
    if kind is not wanted:
        raise BackupError(
            f"{file} is {kind.value}, but {hide_password(url)} needs {wanted.value}; set database_url to the other kind"
        )
    if path is not None:
        revision = await _restore_sqlite(path, file, actor, tick)
    else:
        revision = await _restore_postgres(url, schema, file, actor)
    return Restored(revision=revision, seconds=time.monotonic() - started)


def _hold(connection: WriteConnection, file: Path, actor: Actor, revision: str) -> None:
    """Hold the database, and record that no process of the original works on it."""
    at = now()
    holds.remove(connection)  # the backup may be of a database that was held itself
    holds.add(connection, HoldRow(held_at=at, held_by=actor.label, origin=file.name))
    holds.stop_services(connection)
    if revision >= _FIRST_WITH_TRIGGERS:
        upkeep.mark_restored(connection)
    if revision >= _FIRST_WITH_BATCHES:
        batches.pause_open(connection, "the database was restored: what it has begun since the backup is not known", at)
    done = AuditAction(action=Action.DATABASE_RESTORE, kind="database", name=file.name)
    audit.add(connection, actor.entry(done, at))


async def _restore_sqlite(path: Path, file: Path, actor: Actor, tick: Tick) -> str:
    for suffix in ("", "-wal", "-journal"):
        if (found := path.with_name(path.name + suffix)).exists():
            raise BackupError(f"{found} is there; a backup is restored where no database is: use another home")
    require_known(f"sqlite:///{file}", sqlite_copy.read_revision(file))
    if is_snapshot(file):
        raise BackupError(f"{file} is a snapshot, without accounts and secrets; restore a file of `dagbook backup`")
    with new_file(path, replaces=False) as part:
        sqlite_copy.copy_plain(file, part, tick)
        await upgrade(f"sqlite:///{part}", keeps_copy=False)
        database = await Database.open(f"sqlite:///{part}")
        try:
            await database.write(lambda connection: _hold(connection, file, actor, head()))
        finally:
            await database.close()
        sqlite_copy.close_log(part)
    return head()


async def _restore_postgres(url: str, schema: str, file: Path, actor: Actor) -> str:
    program, place = find_program("pg_restore", await server_version(url, schema)), Place(url, schema)
    contents = run_program([program, "--list", str(file)], place).splitlines(keepends=True)
    revision = _check_archive(program, place, file, contents)
    # Until the end, so that neither another restore nor the upgrade of a server takes the place for theirs.
    async with open_for_migration(url, schema=schema) as lock, lock.begin():
        await lock.run_sync(lock_migrations, schema)
        async with open_for_migration(url, schema=schema, writes=False) as connection:
            is_left = await connection.run_sync(_check_place, url, schema, "".join(contents))
        how = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--no-password"]
        how += ["--clean", "--if-exists"] if is_left else []
        with tempfile.NamedTemporaryFile("w", prefix="dagbook-restore-", encoding="utf-8") as chosen:
            chosen.writelines(line for line in contents if not _LEFT_OUT.search(line))
            chosen.flush()
            run_program([program, *how, f"--use-list={chosen.name}", f"--dbname={place.database}", str(file)], place)
        await _finish_postgres(url, schema, file, actor, revision)
    async with open_for_migration(url, schema=schema) as connection:
        await connection.exec_driver_sql("ANALYZE")  # else the first queries are planned for empty tables
        await connection.commit()
    return revision


async def _finish_postgres(url: str, schema: str, file: Path, actor: Actor, revision: str) -> None:
    """Hold the database and give it its revision, in one transaction."""
    database = await Database.open(url, schema=schema, application="dagbook restore", pool_size=1)

    def finish(connection: WriteConnection) -> None:
        _hold(connection, file, actor, revision)
        connection.execute(_SET_REVISION, {"revision": revision})

    try:
        await database.write(finish)
    finally:
        await database.close()


def _check_archive(program: str, place: Place, file: Path, contents: Sequence[str]) -> str:
    """Return the revision of the database in an archive; raises BackupError and UnusableDatabase."""
    schemas = [match[1] for line in contents if (match := _TABLE.search(line))]
    if not schemas:
        raise BackupError(f"{file} has no database of Dagbook: no table alembic_version")
    if place.schema not in schemas:
        raise BackupError(f"{file} is of the schema {schemas[0]}; set database_schema to {schemas[0]}")
    rows = [program, "--data-only", "--table=alembic_version", f"--schema={place.schema}", "--file=-", str(file)]
    found = _ROW.search(run_program(rows, place))
    revision = found[1] if found else "unknown"
    require_known("this backup", revision)
    if revision < _FIRST_WITH_HOLD:
        raise BackupError(
            f"{file} is of revision {revision}, whose databases cannot be held; load it with pg_restore, and start its "
            "schedules and queues with care"
        )
    return revision


def _check_place(connection: Connection, url: str, schema: str, contents: str) -> bool:
    """Whether a restore that was killed has left its tables there, without a revision, which the next one drops.

    Raises BackupError for a schema that has other tables, and UnusableDatabase.
    """
    require_schema(connection, schema)
    found = connection.execute(_RELATIONS, {"schema": schema}).all()
    tables = {row.relname for row in found if row.is_table}
    is_left = (
        "alembic_version" in tables
        and all(f" TABLE {schema} {name} " in contents for name in tables)
        and not connection.execute(_REVISIONS).scalar_one()
    )
    if found and not is_left:
        raise BackupError(
            f"{hide_password(url)} is not empty: its schema {schema} has {len(found)} tables, indexes and sequences; "
            "a backup is restored into an empty database"
        )
    return is_left


@contextmanager
def restored_keys(file: Path, secret_key: str, home: Path) -> Iterator[str]:
    """Put the key beside a backup into the home, if it has none, and yield what became of it in a sentence.

    It is removed again when the block fails. Raises BackupError for a home with another key, and OSError.
    """
    keys, own = keys_of(file), home / KEY_FILE
    if not keys.exists():
        yield f"no key is beside the backup: copy {KEY_FILE} of the original into {home}, or set secret_key"
        return
    key = keys.read_text(encoding="utf-8").strip()
    present = secret_key or (own.read_text(encoding="utf-8").strip() if own.exists() else "")
    if present and present != key:
        raise BackupError(f"{keys} has another key than this place; move {own} away, or set secret_key to that key")
    if present:
        yield f"the key in {keys} is that of this place"
        return
    with new_file(own, replaces=False) as part:
        part.write_text(f"{key}\n", encoding="utf-8")
    try:
        yield f"the key was restored as {own}"
    except BaseException:
        own.unlink()
        raise
