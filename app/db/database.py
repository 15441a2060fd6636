"""The way to the rows. Everything about locking, threads and connections of both engines lives here only.

All work is a synchronous function of a connection, run inside one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from functools import cached_property
from time import monotonic
from typing import Any, NewType, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, select
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.db.checkpoint import WRITER_EVERY_PAGES, Checkpointer
from app.db.failure import telling_unavailable
from app.db.shared import Shared
from app.db.url import parse_url
from app.db.wakeups import Wakeups

# A write connection may be read through; a read connection may not be written through.
ReadConnection = NewType("ReadConnection", Connection)
WriteConnection = NewType("WriteConnection", ReadConnection)

# What a transaction tells of, for those of this process who wait for it: changes for everybody, output of steps.
VISIBLE, OUTPUT = "visible", "output"
_TOLD = "told"

# Equal to another one only if no commit came between them.
Stamp = tuple[object, ...]

T = TypeVar("T")
Read = Callable[[ReadConnection], T]
Write = Callable[[WriteConnection], T]

_POOL_SIZE = 16
_CONNECT_SECONDS = 10
_COMMAND_SECONDS = 60
_IDLE_SECONDS = 1.0
# A server that falls asleep inside a transaction must not keep others from taking over what it has locked.
_ASLEEP_MILLISECONDS = "5000"
_PING_SECONDS = 5
_SQLITE_READERS = 4
_PAGES, _BULK_PAGES = 10, 260  # of a usual commit, and of one of nothing but output
_BUSY_MILLISECONDS = 5_000
# Glances run in the loop's thread: waiting there stops the whole server.
_GLANCE_BUSY_MILLISECONDS = 200


class Database:
    """One database, SQLite or PostgreSQL, open for one event loop.

    Errors of the database pass through as SQLAlchemy's, except those that mean "not now",
    which are ``DatabaseUnavailable``.
    """

    def __init__(self, engines: _Engines) -> None:
        self._engines = engines
        self._writes: set[asyncio.Task[Any]] = set()
        self._listeners: list[Callable[[set[str]], None]] = []

    def on_commit(self, listener: Callable[[set[str]], None]) -> None:
        """Call ``listener`` after each commit that tells of something (``note_told``), with what it tells of."""
        self._listeners.append(listener)

    @classmethod
    async def open(cls, url: str, *, application: str = "dagbook", pool_size: int = _POOL_SIZE) -> Database:
        """Connect to the database at ``url`` and see that it answers.

        ``application`` is the name that PostgreSQL shows for the connections, ``pool_size``
        how many there are at most. ``ValueError`` when the URL is not understood.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            database = cls(_Sqlite(parsed))
        else:
            database = cls(_Postgres(parsed, application, pool_size))
        try:
            await database.read(lambda connection: connection.scalar(select(1)))
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def wakeups(self) -> Wakeups | None:
        """The way to the other processes on this database; None where there can be none."""
        return self._engines.wakeups

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engines.dialect

    async def read(self, work: Read[T]) -> T:
        """Run work that only reads and may take long."""
        with telling_unavailable(self.dialect):
            return await self._engines.read(work)

    async def glance(self, work: Read[T]) -> T:
        """Run work that reads a few rows through an index.

        On SQLite it runs in the caller's thread, ten times cheaper than ``read``, while
        everything else in the loop waits: nothing that scans belongs here.
        """
        with telling_unavailable(self.dialect):
            return await self._engines.glance(work)

    async def stamp(self) -> Stamp:
        """Return what is different after every commit of anybody: what is read later is at least as new.

        On SQLite it costs next to nothing, on PostgreSQL one round trip for all who ask at the same time.
        """
        with telling_unavailable(self.dialect):
            return await self._engines.stamp()

    async def snapshot(self, work: Read[T]) -> T:
        """Run work that only reads, takes as long as it takes, and sees one state of the database throughout.

        What others commit meanwhile is kept twice until the end.
        """
        with telling_unavailable(self.dialect):
            return await self._engines.snapshot(work)

    async def write(self, work: Write[T], *, durable: bool = True) -> T:
        """Run work in a transaction that is committed when it returns and rolled back when it raises.

        A cancelled caller does not take the write along: once asked for, it is done
        completely or not at all. What is not ``durable`` may be lost when this machine fails, but
        never when a later durable write is kept. A database on another machine keeps it all the
        same: it may fail alone, and who wrote before would go on behind a gap.
        """
        task = asyncio.create_task(self._write(work, durable=durable))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self, work: Write[T], *, durable: bool) -> T:
        told: set[str] = set()

        def noted(connection: WriteConnection) -> T:
            connection.info[_TOLD] = told
            return work(connection)

        with telling_unavailable(self.dialect):
            done = await self._engines.write(noted, durable=durable)
        if told:
            for listener in self._listeners:
                listener(told)
        return done

    @asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[bool]:
        """Tell whether nobody else does the same on this database for as long as the block lasts.

        Whoever dies, or loses the connection to PostgreSQL, is not alone any more: what is done must bear that.
        """
        with telling_unavailable(self.dialect):
            async with self._engines.alone(purpose) as is_alone:
                yield is_alone

    async def close(self) -> None:
        """Finish the writes that were asked for, then close all connections; harmless when repeated."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._engines.close()


def note_told(connection: WriteConnection, what: str) -> None:
    """Note that this transaction tells of something: ``VISIBLE`` or ``OUTPUT``."""
    connection.info.setdefault(_TOLD, set()).add(what)


class _Engines(Protocol):
    dialect: str

    async def read(self, work: Read[T]) -> T: ...

    async def glance(self, work: Read[T]) -> T: ...

    async def stamp(self) -> Stamp: ...

    async def snapshot(self, work: Read[T]) -> T: ...

    async def write(self, work: Write[T], *, durable: bool) -> T: ...

    @property
    def wakeups(self) -> Wakeups | None: ...

    def alone(self, purpose: str) -> AbstractAsyncContextManager[bool]: ...

    async def close(self) -> None: ...


class _Sqlite:
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
        self._glancer = _SteadyConnection(create_engine(plain), writes=False, busy=_GLANCE_BUSY_MILLISECONDS)
        self._writer = _SteadyConnection(create_engine(plain), writes=True, busy=_BUSY_MILLISECONDS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._checkpointer = Checkpointer(url.database or "")
        self._closed = False
        self._purposes: set[str] = set()

    async def read(self, work: Read[T]) -> T:
        return await self._readers.run(lambda plain: work(ReadConnection(plain)))

    async def glance(self, work: Read[T]) -> T:
        return self._glancer.run(lambda plain: work(ReadConnection(plain)))

    async def stamp(self) -> Stamp:
        driver = self._glancer.driver  # it changes nothing itself, so it sees the commits of all others
        return driver, driver.execute("PRAGMA data_version").fetchone()

    async def snapshot(self, work: Read[T]) -> T:
        return await self.read(work)  # every transaction of SQLite sees one state

    async def write(self, work: Write[T], *, durable: bool) -> T:
        def whole() -> T:
            self._writer.sync("FULL" if durable else "NORMAL")
            return self._writer.run(lambda plain: work(WriteConnection(ReadConnection(plain))))

        done = await asyncio.get_running_loop().run_in_executor(self._thread, whole)
        self._checkpointer.note(_PAGES if durable else _BULK_PAGES)
        return done

    @property
    def wakeups(self) -> Wakeups | None:
        return None  # a file has one server

    @asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[bool]:
        is_first = purpose not in self._purposes
        self._purposes.add(purpose)
        try:
            yield is_first  # the file has one server
        finally:
            if is_first:
                self._purposes.discard(purpose)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._readers.close()
        self._glancer.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.close)
        self._thread.shutdown()
        await self._checkpointer.close()


class _Readers:
    """Threads for long reads, and as many connections, of which those used last are used next."""

    def __init__(self, url: URL) -> None:
        self._threads = ThreadPoolExecutor(_SQLITE_READERS, thread_name_prefix="sqlite-reader")
        self._all = [
            _SteadyConnection(create_engine(url), writes=False, busy=_BUSY_MILLISECONDS) for _ in range(_SQLITE_READERS)
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


class _SteadyConnection:
    """One connection that stays open, used by one thread at a time; opened again after it failed to open."""

    def __init__(self, engine: Engine, *, writes: bool, busy: int) -> None:
        prepare_sqlite(engine, writes=writes, busy=busy)
        self._engine = engine
        self._connection: Connection | None = None
        self._synchronous = "FULL"

    def run(self, work: Callable[[Connection], T]) -> T:
        connection = self._open()
        with connection.begin():
            return work(connection)

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def sync(self, level: str) -> None:
        """Say how safe the following transactions are when they are committed."""
        if level != self._synchronous:
            self.driver.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    @property
    def driver(self) -> Any:
        """The driver's own connection."""
        return self._open().connection.driver_connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()


def prepare_sqlite(engine: Engine, *, writes: bool, busy: int = _BUSY_MILLISECONDS, foreign_keys: bool = True) -> None:
    """Give connections of this engine our settings and transactions that begin when we say so.

    The driver's own BEGIN comes too late and without IMMEDIATE: a transaction that reads
    first and then writes loses updates in silence, or fails at once instead of waiting.
    """
    pragmas = _pragmas(writes=writes, busy=busy) | {"foreign_keys": "ON" if foreign_keys else "OFF"}

    def connect(driver: Any, _record: ConnectionPoolEntry) -> None:
        driver.isolation_level = None
        cursor = driver.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)


def _pragmas(*, writes: bool, busy: int) -> dict[str, str | int]:
    pragmas: dict[str, str | int] = {"busy_timeout": busy, "temp_store": "MEMORY", "cache_size": -16_000}
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


# Which transactions can be seen says what can be seen, as long as the server is the same.
_STAMP = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()"


class _Postgres:
    """A pool of asyncpg connections; reads and writes differ by the kind of transaction."""

    dialect = "postgresql"

    def __init__(self, url: URL, application: str, pool_size: int) -> None:
        arguments = postgres_arguments(application) | {"command_timeout": _COMMAND_SECONDS}
        self._url, self._application = url, application
        arguments["server_settings"] |= {"idle_in_transaction_session_timeout": _ASLEEP_MILLISECONDS}
        self._arguments = arguments
        self._engine = create_async_engine(
            url,
            isolation_level="READ COMMITTED",
            pool_size=pool_size,
            max_overflow=0,
            connect_args=arguments,
        )
        self._readers: AsyncEngine = self._engine.execution_options(postgresql_readonly=True)
        self._outside: AsyncEngine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._stamp = Shared(self._read_stamp)
        _notice_lost_connections(self._engine.sync_engine)

    async def read(self, work: Read[T]) -> T:
        async with self._readers.connect() as connection:
            return await connection.run_sync(lambda plain: work(ReadConnection(plain)))

    async def glance(self, work: Read[T]) -> T:
        return await self.read(work)

    async def stamp(self) -> Stamp:
        return await self._stamp.get()

    async def _read_stamp(self) -> Stamp:
        async with self._outside.connect() as connection:
            return tuple((await connection.exec_driver_sql(_STAMP)).one())

    async def snapshot(self, work: Read[T]) -> T:
        async with self._open_apart("REPEATABLE READ", postgresql_readonly=True) as connection:
            return await connection.run_sync(lambda plain: work(ReadConnection(plain)))

    @asynccontextmanager
    async def _open_apart(self, isolation: str, **options: Any) -> AsyncIterator[AsyncConnection]:
        """Open a connection beside the pool, without limits of time."""
        arguments = postgres_arguments(self._application)
        engine = create_async_engine(self._url, poolclass=NullPool, isolation_level=isolation, connect_args=arguments)
        try:
            async with engine.execution_options(**options).connect() as connection:
                yield connection
        finally:
            await engine.dispose()

    async def write(self, work: Write[T], *, durable: bool) -> T:  # noqa: ARG002 - see Database.write
        async with self._engine.begin() as connection:
            return await connection.run_sync(lambda plain: work(WriteConnection(ReadConnection(plain))))

    @cached_property
    def wakeups(self) -> Wakeups:
        return Wakeups(create_async_engine(self._engine.url, poolclass=NullPool, connect_args=self._arguments))

    @asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[bool]:
        # The lock goes with its connection, which is closed and not given back to a pool.
        async with self._open_apart("AUTOCOMMIT") as connection:
            yield bool(await connection.scalar(select(func.pg_try_advisory_lock(func.hashtext(purpose)))))

    async def close(self) -> None:
        await self._engine.dispose()


def postgres_arguments(application: str) -> dict[str, Any]:
    """Return what every connection to PostgreSQL is opened with."""
    return {
        "timeout": _CONNECT_SECONDS,
        "server_settings": {"application_name": application, "synchronous_commit": "on", "jit": "off"},
    }


def _notice_lost_connections(engine: Engine) -> None:
    """Replace a dead connection when it is taken from the pool.

    SQLAlchemy's own test costs three round trips for each use. Here a connection that
    knows it was closed costs nothing, and one that lay idle for a second one round trip.
    """

    def checkin(_driver: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = monotonic()

    def checkout(driver: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if driver.driver_connection.is_closed():
            raise DisconnectionError
        if monotonic() - record.info.get("idle_since", monotonic()) > _IDLE_SECONDS:
            _ping(driver)

    event.listen(engine, "checkin", checkin)
    event.listen(engine, "checkout", checkout)


def _ping(driver: Any) -> None:
    try:
        driver.run_async(lambda connection: connection.execute("SELECT 1", timeout=_PING_SECONDS))
    except Exception as error:
        raise DisconnectionError from error
