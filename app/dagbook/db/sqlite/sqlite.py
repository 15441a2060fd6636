"""SQLite: which thread may use which connection, and how transactions begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from sqlite3 import Error as SqliteError
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from dagbook.db.backend import Read, ReadConnection, T, Write, WriteConnection
from dagbook.db.errors import to_dbapi_error
from dagbook.db.notifications import Notifications
from dagbook.db.sqlite.checkpoint import WRITER_EVERY_PAGES, Checkpointer

_READERS = 4
_PAGES, _BULK_PAGES = 10, 260  # of a usual commit, and of one of nothing but output
_BUSY_MILLISECONDS = 5_000
# Glances run in the loop's thread: waiting there stops the whole server.
_INLINE_BUSY_MILLISECONDS = 200
_BEGIN = {True: "BEGIN IMMEDIATE", False: "BEGIN"}  # of who writes, and of who only reads


class Sqlite:
    """Three ways into one file, all synchronous: the async driver costs five to ten times what the statement does.

    One writer thread: its queue is the turn-taking, so that no two transactions of this
    process ever wait for each other inside SQLite (with the busy timeout alone the worst of
    twenty writers waited 842 ms, taking turns 53 ms). A connection in the loop's thread for
    glances. A few threads for long reads: the async driver goes to its own four times for
    each statement.
    """

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        plain = url.set(drivername="sqlite")
        self._readers = _Readers(plain)
        self._inline_reader = _PersistentConnection(create_engine(plain), writes=False, busy=_INLINE_BUSY_MILLISECONDS)
        self._writer = _PersistentConnection(create_engine(plain), writes=True, busy=_BUSY_MILLISECONDS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._checkpointer = Checkpointer(url.database or "")
        self._closed = False
        self._locks: set[str] = set()

    async def read(self, work: Read[T]) -> T:
        """Run work in a thread of the readers."""
        return await self._readers.run(lambda plain: work(ReadConnection(plain)))

    async def read_inline(self, work: Read[T]) -> T:
        """Run work in the caller's thread."""
        return self._inline_reader.run(lambda plain: work(ReadConnection(plain)))

    async def snapshot(self, work: Read[T]) -> T:
        """Run work as ``read`` does: every transaction of SQLite sees one state."""
        return await self.read(work)

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool) -> T:
        """Run work in the writer's thread, one after the other, also when the caller is cancelled meanwhile."""

        def whole() -> T:
            self._writer.set_synchronous("FULL" if durable else "NORMAL")
            return self._writer.run(lambda plain: work(WriteConnection(ReadConnection(plain))))

        def end(write: asyncio.Future[T]) -> None:
            if write.exception() is None:
                self._checkpointer.add_pages(_PAGES if durable else _BULK_PAGES)
                committed()

        write = asyncio.get_running_loop().run_in_executor(self._thread, copy_context().run, whole)
        write.add_done_callback(end)
        return await asyncio.shield(write)

    @property
    def notifications(self) -> Notifications | None:
        """There is none: a file has one server."""
        return None

    @asynccontextmanager
    async def try_lock(self, purpose: str) -> AsyncIterator[bool]:
        """Tell whether nobody else in this process does the same: the file has one server."""
        is_first = purpose not in self._locks
        self._locks.add(purpose)
        try:
            yield is_first
        finally:
            if is_first:
                self._locks.discard(purpose)

    async def close(self) -> None:
        """Finish what the threads do, then close all connections; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        await self._readers.close()
        self._inline_reader.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.close)
        await asyncio.to_thread(self._thread.shutdown)
        await self._checkpointer.close()


class _Readers:
    """Threads for long reads, and as many connections, of which those used last are used next."""

    def __init__(self, url: URL) -> None:
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")
        self._all = [
            _PersistentConnection(create_engine(url), writes=False, busy=_BUSY_MILLISECONDS) for _ in range(_READERS)
        ]
        self._free = list(self._all)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run work in a thread, which finishes it even when nobody waits any more."""
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
    """One connection that stays open, used by one thread at a time; opened again after it failed.

    Transactions are the driver's own: SQLAlchemy's cost five times as much. It believes to be in one all the time.
    """

    def __init__(self, engine: Engine, *, writes: bool, busy: int) -> None:
        _set_pragmas(engine, _pragmas(writes=writes, busy=busy))
        self._engine = engine
        self._begin = _BEGIN[writes]
        self._connection: Connection | None = None
        self._driver: Any = None
        self._synchronous = "FULL"

    def run(self, work: Callable[[Connection], T]) -> T:
        connection = self._connection or self._open()
        self._execute(self._begin)
        try:
            done = work(connection)
            self._execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return done

    def _execute(self, statement: str) -> None:
        try:
            self._driver.execute(statement)
        except SqliteError as error:
            raise to_dbapi_error(error, statement) from error

    def _roll_back(self) -> None:
        try:
            if self._driver.in_transaction:  # some errors end it themselves
                self._driver.execute("ROLLBACK")
        except SqliteError:
            self._disconnect()

    def _open(self) -> Connection:
        self._connection = self._engine.connect()
        self._driver = self._connection.connection.driver_connection
        self._synchronous = "FULL"
        return self._connection

    def set_synchronous(self, level: str) -> None:
        """Say how safe the following transactions are when they are committed."""
        if level != self._synchronous:
            self.driver.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    @property
    def driver(self) -> Any:
        """The driver's own connection."""
        if self._connection is None:
            self._open()
        return self._driver

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._driver = None

    def close(self) -> None:
        self._disconnect()
        self._engine.dispose()


def prepare_sqlite(engine: Engine, *, writes: bool, busy: int) -> None:
    """Give connections for migrations our settings, and transactions that begin when we say so.

    Foreign keys are not looked at: a table that is copied is gone for a moment.

    The driver's own BEGIN comes too late and without IMMEDIATE: a transaction that reads
    first and then writes loses updates in silence, or fails at once instead of waiting.
    """

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_BEGIN[writes])

    _set_pragmas(engine, _pragmas(writes=writes, busy=busy) | {"foreign_keys": "OFF"})
    event.listen(engine, "begin", begin)


def _set_pragmas(engine: Engine, pragmas: Mapping[str, str | int]) -> None:
    def connect(driver: Any, _record: ConnectionPoolEntry) -> None:
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
        # Nothing of the file's own is set here: it would be a write, which a full disk refuses.
        return pragmas | {"query_only": "ON"}
    return pragmas | {
        "auto_vacuum": "INCREMENTAL",  # counts at the file's creation only, and only before WAL is chosen
        "journal_mode": "WAL",
        "synchronous": "FULL",
        "wal_autocheckpoint": WRITER_EVERY_PAGES,
        "journal_size_limit": 64 * 1024 * 1024,
    }
