"""PostgreSQL: a pool of connections, and what each of them is opened with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from time import monotonic
from typing import Any

from sqlalchemy import URL, Engine, NullPool, event, func, select
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.db.engines import Read, ReadConnection, Stamp, T, Write, WriteConnection
from app.db.shared import Shared
from app.db.wakeups import Wakeups

_CONNECT_SECONDS = 10
_COMMAND_SECONDS = 60
_IDLE_SECONDS = 1.0
# A server that falls asleep inside a transaction must not keep others from taking over what it has locked.
_ASLEEP_MILLISECONDS = "5000"
_PING_SECONDS = 5
# Which transactions can be seen says what can be seen, as long as the server is the same.
_STAMP = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()"


class Postgres:
    """A pool of asyncpg connections; reads and writes differ by the kind of transaction."""

    dialect = "postgresql"

    def __init__(self, url: URL, application: str, pool_size: int) -> None:
        arguments = postgres_arguments(application) | {"command_timeout": _COMMAND_SECONDS}
        self._url, self._application = url, application
        arguments["server_settings"] |= {
            "idle_in_transaction_session_timeout": _ASLEEP_MILLISECONDS,
            # Starting more processes costs more than a list that is read in milliseconds; long reads are apart.
            "max_parallel_workers_per_gather": "0",
        }
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
        self._writes: set[asyncio.Task[Any]] = set()
        _notice_lost_connections(self._engine.sync_engine)

    async def read(self, work: Read[T]) -> T:
        """Run work in a transaction that only reads."""
        async with self._readers.connect() as connection:
            return await connection.run_sync(lambda plain: work(ReadConnection(plain)))

    async def glance(self, work: Read[T]) -> T:
        """Run work as ``read`` does."""
        return await self.read(work)

    async def stamp(self) -> Stamp:
        """Return which transactions can be seen, asked for once for all who ask together."""
        return await self._stamp.get()

    async def _read_stamp(self) -> Stamp:
        async with self._outside.connect() as connection:
            return tuple((await connection.exec_driver_sql(_STAMP)).one())

    async def snapshot(self, work: Read[T]) -> T:
        """Run work on a connection of its own, without a limit of time."""
        async with self._open_apart("REPEATABLE READ", postgresql_readonly=True) as connection:
            return await connection.run_sync(lambda plain: work(ReadConnection(plain)))

    @asynccontextmanager
    async def _open_apart(self, isolation: str, **options: Any) -> AsyncIterator[AsyncConnection]:
        """Open a connection beside the pool, without limits of time; its name tells it from those that have some."""
        arguments = postgres_arguments(f"{self._application} apart")
        engine = create_async_engine(self._url, poolclass=NullPool, isolation_level=isolation, connect_args=arguments)
        try:
            async with engine.execution_options(**options).connect() as connection:
                yield connection
        finally:
            await engine.dispose()

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool) -> T:  # noqa: ARG002 - see Database.write
        """Run work in a transaction; all of them wait for the disk."""
        task = asyncio.create_task(self._write(work, committed))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self, work: Write[T], committed: Callable[[], None]) -> T:
        async with self._engine.begin() as connection:
            done = await connection.run_sync(lambda plain: work(WriteConnection(ReadConnection(plain))))
        committed()
        return done

    @cached_property
    def wakeups(self) -> Wakeups:
        """The way to the other processes, on a connection of its own."""
        return Wakeups(create_async_engine(self._engine.url, poolclass=NullPool, connect_args=self._arguments))

    @asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[bool]:
        """Tell whether a lock could be had, which goes with its connection."""
        async with self._open_apart("AUTOCOMMIT") as connection:
            yield bool(await connection.scalar(select(func.pg_try_advisory_lock(func.hashtext(purpose)))))

    async def close(self) -> None:
        """Finish the writes that were asked for, then close the pool."""
        await asyncio.gather(*self._writes, return_exceptions=True)
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
