"""PostgreSQL backend: its connections, their parameters, and transactions."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from asyncpg import Connection as Driver
from asyncpg import PostgresError
from sqlalchemy import URL, AdaptedConnection, Connection, Engine, NullPool, event, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from dagbook.db.backend import Read, ReadConnection, T, Write, WriteConnection
from dagbook.db.errors import DatabaseUnavailable, is_serialization_failure
from dagbook.db.notifications import Notifications
from dagbook.db.url import PUBLIC, root_certificate

_CONNECT_SECONDS = 10
_COMMAND_SECONDS = 60
_WAIT_SECONDS = 30  # for a connection, when all are in use
# A server that is suspended inside a transaction must not keep others from adopting the rows it has locked.
_STUCK_MILLISECONDS = "5000"
_BEGIN_SECONDS = 5  # also for ROLLBACK: a connection that takes longer is lost
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
# Plans for any number of rows, made once. What a table has when it is new would make them read all of it.
_BEGIN_BY_KEYS = f"""{_BEGIN}; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"""
# A connection is dead when the machine has not answered for ten seconds, whether or not something was sent to it.
_TCP = {
    socket.TCP_KEEPIDLE: 4,
    socket.TCP_KEEPINTVL: 2,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 10_000,
}
# Attempts of a transaction that is rolled back because of others; the pauses between them add up to about a second.
_TRIES = 7
_FIRST_PAUSE_SECONDS = 0.01
_Connected = tuple[AsyncConnection, Driver]
_NO_ROOT = "the root certificate (sslrootcert in database_url) cannot be used"


class Postgres:
    """Connections of asyncpg that stay open, each used by one task at a time.

    Transactions are started with the driver, because SQLAlchemy's cost four times as much; SQLAlchemy's own transaction
    stays open permanently. Reads have read-only connections and no transactions: with READ COMMITTED each statement
    sees a state of its own in any case, and BEGIN and COMMIT are two round trips more than most reads.
    """

    dialect = "postgresql"

    def __init__(self, url: URL, application: str, pool_size: int, schema: str) -> None:
        arguments = postgres_arguments(url, application, schema) | {"command_timeout": _COMMAND_SECONDS}
        self._url, self._application, self._schema = url, application, schema
        settings = arguments["server_settings"] | {
            "idle_in_transaction_session_timeout": _STUCK_MILLISECONDS,
            # Starting parallel workers costs more than reading a list, which takes milliseconds; long reads have
            # connections of their own.
            "max_parallel_workers_per_gather": "0",
        }
        self._writers, self._readers = (
            _Connections(create_async_engine(url, poolclass=NullPool, connect_args=arguments | more), pool_size)
            for more in (
                {"server_settings": settings},
                {"server_settings": settings | {"default_transaction_read_only": "on"}},
            )
        )
        self.notifications: Notifications | None = Notifications(self._writers.engine)  # has a connection of its own
        self._writes: set[asyncio.Task[object]] = set()

    async def read(self, work: Read[T]) -> T:
        """Run work with a read-only connection, repeated after serialization failures."""
        return await _repeat(lambda: self._readers.read(lambda raw: work(ReadConnection(raw))))

    read_inline = read

    async def snapshot(self, work: Read[T]) -> T:
        """Run work on a separate connection without a time limit."""
        async with self._open_isolated("REPEATABLE READ", postgresql_readonly=True) as connection:
            return await connection.run_sync(lambda raw: work(ReadConnection(raw)))

    @asynccontextmanager
    async def _open_isolated(self, isolation: str, **options: bool) -> AsyncIterator[AsyncConnection]:
        """Open a connection outside the pool, without time limits; its application name marks it as such."""
        arguments = postgres_arguments(self._url, f"{self._application} apart", self._schema)
        engine = create_async_engine(self._url, poolclass=NullPool, isolation_level=isolation, connect_args=arguments)
        _notice_lost_machines(engine.sync_engine)
        try:
            async with engine.execution_options(**options).connect() as connection:
                yield connection
        finally:
            await engine.dispose()

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool, by_keys: bool) -> T:  # noqa: ARG002 - see Database.write
        """Run work in a transaction, repeated after serialization failures; every commit is durable."""
        begin = _BEGIN_BY_KEYS if by_keys else _BEGIN

        async def transaction() -> T:
            result = await _repeat(
                lambda: self._writers.transaction(begin, lambda raw: work(WriteConnection(ReadConnection(raw))))
            )
            committed()
            return result

        task = asyncio.create_task(transaction())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def try_lock(self, purpose: str) -> AsyncIterator[bool]:
        """Try an advisory lock, which is released with its connection."""
        # Advisory locks belong to the database, in which each schema may have its own servers.
        name = purpose if self._schema == PUBLIC else f"{purpose} in {self._schema}"
        async with self._open_isolated("AUTOCOMMIT") as connection:
            yield bool(await connection.scalar(select(func.pg_try_advisory_lock(func.hashtext(name)))))

    async def close(self) -> None:
        """Finish pending writes, then close the connections, those in use when their transactions have ended."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._writers.close()
        await self._readers.close()


async def _repeat(attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeat work that was rolled back because of another transaction, such as an upgrade."""
    for number in range(_TRIES - 1):
        try:
            return await attempt()
        except (DBAPIError, PostgresError) as error:
            if not is_serialization_failure(error):
                raise
        await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**number * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    return await attempt()


class _Connections:
    """At most ``size`` connections; the most recently used one is used next, because it has the plans of statements."""

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self.engine = engine
        self._unused = asyncio.Semaphore(size)
        self._free: list[_Connected] = []
        self._is_closed = False
        _notice_lost_machines(self.engine.sync_engine)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run work on a free connection, and on another one if that was lost meanwhile."""
        async with self._place():
            while True:
                is_new = not self._free
                connection, driver = await self._connect() if is_new else self._free.pop()
                try:
                    return await connection.run_sync(work)
                except Exception:
                    if is_new or not driver.is_closed():
                        raise
                except BaseException:
                    driver.terminate()  # it may still execute the statement
                    raise
                finally:
                    await self._put_back(connection, driver)

    async def transaction(self, begin: str, work: Callable[[Connection], T]) -> T:
        """Run work in a transaction."""
        async with self._place():
            connection, driver = await self._begin(begin)
            try:
                result = await connection.run_sync(work)
                await driver.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    await _execute(driver, "ROLLBACK")
                raise
            finally:
                await self._put_back(connection, driver)
            return result

    async def close(self) -> None:
        """Close the connections, those in use when their work has ended."""
        self._is_closed = True
        while self._free:
            await self._free.pop()[0].close()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(self._unused.acquire(), _WAIT_SECONDS if self._unused.locked() else None)
        except TimeoutError as error:
            raise DatabaseUnavailable("all connections to the database are in use") from error
        try:
            yield
        finally:
            self._unused.release()

    async def _put_back(self, connection: AsyncConnection, driver: Driver) -> None:
        if driver.is_closed() or self._is_closed:
            await connection.close()
        else:
            self._free.append((connection, driver))

    async def _begin(self, statement: str) -> _Connected:
        """Begin a transaction on a free connection that was not lost meanwhile, or on a new one."""
        while True:
            is_new = not self._free
            connection, driver = await self._connect() if is_new else self._free.pop()
            try:
                await _execute(driver, statement)
            except BaseException as error:
                await connection.close()
                if is_new or not isinstance(error, Exception):
                    raise
            else:
                return connection, driver

    async def _connect(self) -> _Connected:
        connection = await self.engine.connect()
        await connection.execution_options(isolation_level="AUTOCOMMIT")  # SQLAlchemy sends no BEGIN and no COMMIT
        driver: Driver | None = (await connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101 - it was connected just now
        return connection, driver


async def _execute(driver: Driver, statement: str) -> None:
    """Begin or roll back a transaction, or end a connection on which that is not possible."""
    try:
        await driver.execute(statement, timeout=_BEGIN_SECONDS)
    except BaseException:
        driver.terminate()
        raise


def postgres_arguments(url: URL, application: str, schema: str) -> dict[str, Any]:
    """Return the ``connect`` arguments of every PostgreSQL connection; raises ``DatabaseUnavailable``.

    The search path is only the schema; it overrides that of the role and of the database.
    """
    if (path := root_certificate(url)) is not None:
        _check_certificate(path)
    settings = {
        "application_name": application,
        "search_path": f'"{schema}"',
        "synchronous_commit": "on",
        "jit": "off",
        # For memory and flash storage. With the default, for turning disks, PostgreSQL reads a whole table of 10,000
        # runs instead of looking 50 of them up.
        "random_page_cost": "1.1",
    }
    return {"timeout": _CONNECT_SECONDS, "server_settings": settings}


def _check_certificate(path: str) -> None:
    """Raise ``DatabaseUnavailable`` with the path of an unusable file, which the driver's error does not contain."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise DatabaseUnavailable(_NO_ROOT, f"{path} is not a PEM certificate") from error
    except OSError as error:
        raise DatabaseUnavailable(_NO_ROOT, f"{path}: {error.strerror}") from error


def _notice_lost_machines(engine: Engine) -> None:
    """Let the kernel close connections to a machine that stopped answering, before the statement timeout."""

    def connect(driver: AdaptedConnection, _record: ConnectionPoolEntry) -> None:
        # The driver has no option for this, and no public access to its socket.
        connected = driver.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _TCP.items():
                connected.setsockopt(socket.IPPROTO_TCP, option, value)

    event.listen(engine, "connect", connect)
