"""Backups of a database that servers use: one file, whole, with all that was answered before it was begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import text

from dagbook.db.migrations.upgrade import head as newest_revision
from dagbook.db.migrations.upgrade import open_for_migration, require_head
from dagbook.db.url import sqlite_path
from dagbook.maintenance.backup import sqlite_copy
from dagbook.maintenance.backup.files import new_file
from dagbook.maintenance.backup.postgres_programs import Place, find_program, run_program
from dagbook.settings.definitions import KEY_FILE

KEYS_SUFFIX = ".keys"
_VERSION = text("SHOW server_version_num")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made: its size in bytes, the seconds that it took, and the revision of the database."""

    file: Path
    size: int
    seconds: float
    revision: str


async def back_up(
    url: str, schema: str, target: Path, *, replaces: bool, tick: Callable[[int], None] = lambda _bytes: None
) -> Made:
    """Write a backup of the database, whose servers may go on; ``tick`` is called with the bytes written so far.

    It blocks the event loop. Raises BackupError, UnusableDatabase for a database of another revision,
    DatabaseUnavailable and OSError.
    """
    started = time.monotonic()
    path = sqlite_path(url)
    await require_head(url, schema=schema)
    dump = None if path is not None else find_program("pg_dump", await server_version(url, schema))
    with new_file(target, replaces=replaces) as part:
        if path is not None:
            sqlite_copy.copy_into(path, part, tick)
        else:
            place = Place(url, schema)
            arguments = [str(dump), "--format=custom", f"--schema={schema}", f"--file={part}", "--no-password"]
            run_program(arguments, place, growing=part, tick=tick)
        size = size_of(part)
    return Made(file=target, size=size, seconds=time.monotonic() - started, revision=newest_revision())


def size_of(file: Path) -> int:
    """Return the size of a file in bytes."""
    return file.stat().st_size


async def server_version(url: str, schema: str) -> int:
    """Return the major version of a PostgreSQL server; raises DatabaseUnavailable."""
    async with open_for_migration(url, schema=schema, writes=False) as connection:
        return int((await connection.execute(_VERSION)).scalar_one()) // 10_000


def write_keys(target: Path, secret_key: str, home: Path, *, replaces: bool) -> Path | None:
    """Write the key of stored secrets beside a backup, in a file of mode 0600, and return it; None without a key.

    Raises BackupError and OSError.
    """
    given = home / KEY_FILE
    key = secret_key or (given.read_text(encoding="utf-8").strip() if given.exists() else "")
    if not key:
        return None
    keys = keys_of(target)
    with new_file(keys, replaces=replaces) as part:
        part.write_text(f"{key}\n", encoding="utf-8")
    return keys


def keys_of(backup: Path) -> Path:
    """Return the path of the file with the key that belongs to a backup."""
    return backup.with_name(backup.name + KEYS_SUFFIX)
