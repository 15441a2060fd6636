"""Copies of SQLite databases: of one in use into a plain file, and of a plain file into an empty place."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from dagbook.maintenance.backup.files import BackupError

Tick = Callable[[int], None]  # called with the bytes written so far
_TICK_SECONDS = 0.5
_BUSY_SECONDS = 60.0
_MAX_COMPLAINTS = 3


@contextmanager
def open_file(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Connect to a file that is there, without implicit transactions; ``immutable``: no process writes to it."""
    options = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{options}",
        uri=True,
        isolation_level=None,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
    )
    with closing(connection):
        yield connection


def read_size(path: Path) -> int:
    """Return the bytes that the rows of a database take at most, without its free pages."""
    with open_file(path) as connection:
        query = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, "
        size: int = connection.execute(f"{query}pragma_page_size").fetchone()[0]
    return size


def copy_into(source: Path, part: Path, tick: Tick) -> None:
    """Copy a database in use as it is now into an empty file, and check the copy; raises BackupError.

    Others may read and write meanwhile. The copy has no free pages, so nothing that was deleted is in it, and needs no
    write-ahead log.
    """
    with open_file(source) as connection:
        _run_apart(connection, "VACUUM INTO ?", part, tick)
    check_copy(part)


def _run_apart(connection: sqlite3.Connection, statement: str, part: Path, tick: Tick) -> None:
    """Run a long statement in a thread, so that an interrupt ends it."""
    with ThreadPoolExecutor(1, thread_name_prefix="backup") as thread:
        copying = thread.submit(connection.execute, statement, (str(part),))
        try:
            while not wait([copying], timeout=_TICK_SECONDS).done:
                tick(part.stat().st_size)
            copying.result()
        except sqlite3.Error as error:
            raise BackupError(f"the database could not be copied: {error}") from error
        finally:
            connection.interrupt()


def check_copy(path: Path) -> None:
    """Let SQLite check a file that no other process uses; raises BackupError."""
    with open_file(path, "immutable") as connection:
        try:
            found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MAX_COMPLAINTS})")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.DatabaseError as error:
            raise BackupError(f"{path} is damaged: {error}") from error
    if found != ["ok"] or broken:
        complaints = found if found != ["ok"] else [f"{broken[0][0]} refers to a missing row of {broken[0][2]}"]
        raise BackupError(f"{path} is damaged: {'; '.join(complaints)}")


def read_revision(path: Path) -> str:
    """Return the revision of the database in a file that no process writes to; raises BackupError."""
    mode = "ro" if path.with_name(f"{path.name}-wal").exists() else "immutable"
    try:
        with open_file(path, mode) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        raise BackupError(f"{path} is not a database of Dagbook: {error}") from error
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{path} is damaged: {error}") from error
    if row is None:
        raise BackupError(f"{path} is not a database of Dagbook: it has no revision")
    return str(row[0])


def copy_plain(source: Path, part: Path, tick: Tick) -> None:
    """Copy a file, with the write-ahead log beside it if there is one, into an empty file; raises BackupError."""
    mode = "ro" if source.with_name(f"{source.name}-wal").exists() else "immutable"
    try:
        with open_file(source, mode) as connection, open_file(part) as copy:
            connection.backup(copy, pages=4096, progress=lambda _status, rest, all_: tick((all_ - rest) * 4096))
    except sqlite3.Error as error:
        raise BackupError(f"{source} could not be copied: {error}") from error
    check_copy(part)


def close_log(path: Path) -> None:
    """Put the write-ahead log of a file that no process uses into it, and leave none; raises sqlite3.Error."""
    with open_file(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
