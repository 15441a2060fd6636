"""SQLite backend: connections, their threads, and transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from dagbook.db.backend import Read, ReadConnection, T, Write, WriteConnection
from dagbook.db.errors import to_dbapi_error
from dagbook.db.notifications import Notifications
from dagbook.db.sqlite.checkpointer import WRITER_EVERY_PAGES, Checkpointer

_READERS = 4
_PAGES, _BULK_PAGES = 10, 260  # estimates for a usual commit, and for one that only stores output
_BUSY_MILLISECONDS = 5_000
# Inline reads run in the event loop's thread, where waiting stops the whole server.
_INLINE_BUSY_MILLISECONDS = 200
_BEGIN = {True: "BEGIN IMMEDIATE", False: "BEGIN"}  # by whether the transaction writes


class Sqlite:
    """Three kinds of synchronous connections; the async driver costs five to ten times as much as the statement.

    One thread writes: its queue serializes the transactions, so that no two of this process ever wait for each other
    inside SQLite (with the busy timeout alone the worst of twenty writers waited 842 ms, with the queue 53 ms). One
    connection in the event loop's thread is for inline reads. Four threads are for long reads: the async driver would
    switch to its own thread four times for each statement.
    """

    dialect = "sqlite"
    notifications: Notifications | None = None  # a file has one process

    def __init__(self, url: URL, *, read_only: bool = False) -> None:
        sync_url = url.set(drivername="sqlite")
        self._readers = _Readers(sync_url)
        self._inline_reader = _PersistentConnection(
            create_engine(sync_url), writes=False, busy=_INLINE_BUSY_MILLISECONDS
        )
        self._writer = _PersistentConnection(create_engine(sync_url), writes=not read_only, busy=_BUSY_MILLISECONDS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._checkpointer = Checkpointer(url.database or "")
        self._closed = False
        self._locks: set[str] = set()

    async def read(self, work: Read[T]) -> T:
        """Run work in one of the reader threads."""
        return await self._readers.run(lambda raw: work(ReadConnection(raw)))

    async def read_inline(self, work: Read[T]) -> T:
        """Run work in the caller's thread."""
        return self._inline_reader.run(lambda raw: work(ReadConnection(raw)))

    snapshot = read  # every transaction sees one state of the database

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool, by_keys: bool) -> T:  # noqa: ARG002 - see Database.write
        """Run work in the writer's thread, one call after the other, even if the caller is cancelled meanwhile."""

        def transaction() -> T:
            self._writer.set_synchronous("FULL" if durable else "NORMAL")
            return self._writer.run(lambda raw: work(WriteConnection(ReadConnection(raw))))

        def done(write: asyncio.Future[T]) -> None:
            if write.exception() is None:
                self._checkpointer.add_pages(_PAGES if durable else _BULK_PAGES)
                committed()

        write = asyncio.get_running_loop().run_in_executor(self._thread, copy_context().run, transaction)
        write.add_done_callback(done)
        return await asyncio.shield(write)

    @asynccontextmanager
    async def try_lock(self, purpose: str) -> AsyncIterator[bool]:
        """Try a lock of this process, the only one that uses the file."""
        is_first = purpose not in self._locks
        self._locks.add(purpose)
        try:
            yield is_first
        finally:
            if is_first:
                self._locks.discard(purpose)

    async def close(self) -> None:
        """Finish the work of the threads, then close all connections; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        await self._readers.close()
        self._inline_reader.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.close)
        await asyncio.to_thread(self._thread.shutdown)
        await self._checkpointer.close()


class _Readers:
    """Threads for long reads, and as many connections; the most recently used connection is used next."""

    def __init__(self, url: URL) -> None:
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")
        self._all = [
            _PersistentConnection(create_engine(url), writes=False, busy=_BUSY_MILLISECONDS) for _ in range(_READERS)
        ]
        self._free = list(self._all)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run work in a thread, which finishes it even if the caller is cancelled."""
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._run, work)

    def _run(self, work: Callable[[Connection], T]) -> T:
        connection = self._free.pop()
        try:
            return connection.run(work)
        finally:
            self._free.append(connection)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._all:
            connection.close()


class _PersistentConnection:
    """A connection that stays open, used by one thread at a time, and reopened after a failure.

    Transactions are started with the driver, because SQLAlchemy's cost five times as much; SQLAlchemy's own transaction
    stays open permanently.
    """

    def __init__(self, engine: Engine, *, writes: bool, busy: int) -> None:
        _set_pragmas(engine, _pragmas(writes=writes, busy=busy))
        self._engine = engine
        self._begin = _BEGIN[writes]
        self._opened: tuple[Connection, SqliteConnection] | None = None
        self._synchronous = "FULL"

    def run(self, work: Callable[[Connection], T]) -> T:
        connection, driver = self._opened or self._open()
        _execute(driver, self._begin)
        try:
            result = work(connection)
            _execute(driver, "COMMIT")
        except BaseException:
            self._roll_back(driver)
            raise
        return result

    def _roll_back(self, driver: SqliteConnection) -> None:
        try:
            if driver.in_transaction:  # some errors roll back by themselves
                driver.execute("ROLLBACK")
        except SqliteError:
            self._disconnect()

    def _open(self) -> tuple[Connection, SqliteConnection]:
        connection = self._engine.connect()
        driver = connection.connection.driver_connection
        assert isinstance(driver, SqliteConnection)  # noqa: S101 - it was connected just now, with this driver
        self._opened = connection, driver
        self._synchronous = "FULL"
        return self._opened

    def set_synchronous(self, level: str) -> None:
        """Set ``PRAGMA synchronous`` for the following transactions."""
        if level != self._synchronous:
            self.driver.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    @property
    def driver(self) -> SqliteConnection:
        """The driver's own connection."""
        return (self._opened or self._open())[1]

    def _disconnect(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    def close(self) -> None:
        self._disconnect()
        self._engine.dispose()


def _execute(driver: SqliteConnection, statement: str) -> None:
    try:
        driver.execute(statement)
    except SqliteError as error:
        raise to_dbapi_error(error, statement) from error


def prepare_sqlite(engine: Engine, *, writes: bool, busy: int) -> None:
    """Set pragmas and explicit transactions for connections of migrations.

    Foreign keys are off, because a table that is copied does not exist for a moment.

    The driver's implicit BEGIN comes too late and without IMMEDIATE: a transaction that reads first and then writes
    silently loses updates, or fails at once instead of waiting.
    """

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_BEGIN[writes])

    _set_pragmas(engine, _pragmas(writes=writes, busy=busy) | {"foreign_keys": "OFF"})
    event.listen(engine, "begin", begin)


def _set_pragmas(engine: Engine, pragmas: Mapping[str, str | int]) -> None:
    def connect(driver: SqliteConnection, _record: ConnectionPoolEntry) -> None:
        driver.isolation_level = None
        cursor = driver.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    event.listen(engine, "connect", connect)


def _pragmas(*, writes: bool, busy: int) -> dict[str, str | int]:
    pragmas: dict[str, str | int] = {
        "busy_timeout": busy,
        "temp_store": "MEMORY",
        "cache_size": -16_000,
        "foreign_keys": "ON",
    }
    if not writes:
        # No pragma that is stored in the file: setting one is a write, which fails on a full disk.
        return pragmas | {"query_only": "ON"}
    return pragmas | {
        "auto_vacuum": "INCREMENTAL",  # effective only when the file is created, and only before WAL is set
        "journal_mode": "WAL",
        "synchronous": "FULL",
        "wal_autocheckpoint": WRITER_EVERY_PAGES,
        "journal_size_limit": 64 * 1024 * 1024,
    }
