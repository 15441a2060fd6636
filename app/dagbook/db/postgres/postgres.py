"""PostgreSQL backend: a connection pool, and the parameters of its connections."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from time import monotonic
from typing import Any

from sqlalchemy import URL, Engine, NullPool, event, func, select
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from dagbook.db.backend import Read, ReadConnection, T, Write, WriteConnection
from dagbook.db.errors import DatabaseUnavailable, is_serialization_failure
from dagbook.db.notifications import Notifications
from dagbook.db.url import PUBLIC, root_certificate

_CONNECT_SECONDS = 10
_COMMAND_SECONDS = 60
_IDLE_SECONDS = 1.0
# A server that is suspended inside a transaction must not keep others from adopting the rows it has locked.
_STUCK_MILLISECONDS = "5000"
_PING_SECONDS = 5
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
_NO_ROOT = "the root certificate (sslrootcert in database_url) cannot be used"


class Postgres:
    """A pool of asyncpg connections; reads use read-only transactions."""

    dialect = "postgresql"

    def __init__(self, url: URL, application: str, pool_size: int, schema: str) -> None:
        arguments = postgres_arguments(url, application, schema) | {"command_timeout": _COMMAND_SECONDS}
        self._url, self._application, self._schema = url, application, schema
        arguments["server_settings"] |= {
            "idle_in_transaction_session_timeout": _STUCK_MILLISECONDS,
            # Starting parallel workers costs more than reading a list, which takes milliseconds; long reads have
            # connections of their own.
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
        self._writes: set[asyncio.Task[Any]] = set()
        _notice_lost_connections(self._engine.sync_engine)
        _notice_lost_machines(self._engine.sync_engine)

    async def read(self, work: Read[T]) -> T:
        """Run work in a read-only transaction, repeated after serialization failures."""

        async def attempt() -> T:
            async with self._readers.connect() as connection:
                return await connection.run_sync(lambda raw: work(ReadConnection(raw)))

        return await _retry_conflicts(attempt)

    async def read_inline(self, work: Read[T]) -> T:
        """Run work as ``read`` does."""
        return await self.read(work)

    async def snapshot(self, work: Read[T]) -> T:
        """Run work on a separate connection without a time limit."""
        async with self._open_isolated("REPEATABLE READ", postgresql_readonly=True) as connection:
            return await connection.run_sync(lambda raw: work(ReadConnection(raw)))

    @asynccontextmanager
    async def _open_isolated(self, isolation: str, **options: Any) -> AsyncIterator[AsyncConnection]:
        """Open a connection outside the pool, without time limits; its application name marks it as such."""
        arguments = postgres_arguments(self._url, f"{self._application} apart", self._schema)
        engine = create_async_engine(self._url, poolclass=NullPool, isolation_level=isolation, connect_args=arguments)
        _notice_lost_machines(engine.sync_engine)
        try:
            async with engine.execution_options(**options).connect() as connection:
                yield connection
        finally:
            await engine.dispose()

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool) -> T:  # noqa: ARG002 - see Database.write
        """Run work in a transaction, repeated after serialization failures; every commit is durable."""

        async def attempt() -> T:
            async with self._engine.begin() as connection:
                result = await connection.run_sync(lambda raw: work(WriteConnection(ReadConnection(raw))))
            committed()
            return result

        task = asyncio.create_task(_retry_conflicts(attempt))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    @cached_property
    def notifications(self) -> Notifications:
        """Notifications between processes, on a separate connection."""
        engine = create_async_engine(self._engine.url, poolclass=NullPool, connect_args=self._arguments)
        _notice_lost_machines(engine.sync_engine)
        return Notifications(engine)

    @asynccontextmanager
    async def try_lock(self, purpose: str) -> AsyncIterator[bool]:
        """Try an advisory lock, which is released with its connection."""
        # Advisory locks belong to the database, in which each schema may have its own servers.
        name = purpose if self._schema == PUBLIC else f"{purpose} in {self._schema}"
        async with self._open_isolated("AUTOCOMMIT") as connection:
            yield bool(await connection.scalar(select(func.pg_try_advisory_lock(func.hashtext(name)))))

    async def close(self) -> None:
        """Finish pending writes, then close the pool."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._engine.dispose()


def postgres_arguments(url: URL, application: str, schema: str) -> dict[str, Any]:
    """Return the ``connect`` arguments of every PostgreSQL connection; raises ``DatabaseUnavailable``.

    The search path is only the schema; it overrides that of the role and of the database.
    """
    if (path := root_certificate(url)) is not None:
        _check_certificate(path)
    settings = {"application_name": application, "search_path": f'"{schema}"', "synchronous_commit": "on", "jit": "off"}
    return {"timeout": _CONNECT_SECONDS, "server_settings": settings}


def _check_certificate(path: str) -> None:
    """Raise ``DatabaseUnavailable`` with the path of an unusable file, which the driver's error does not contain."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise DatabaseUnavailable(_NO_ROOT, f"{path} is not a PEM certificate") from error
    except OSError as error:
        raise DatabaseUnavailable(_NO_ROOT, f"{path}: {error.strerror}") from error


async def _retry_conflicts(attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeat a transaction that was rolled back because of another one, for example a schema upgrade."""
    for number in range(_TRIES - 1):
        try:
            return await attempt()
        except DBAPIError as error:
            if not is_serialization_failure(error):
                raise
        await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**number * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    return await attempt()


def _notice_lost_connections(engine: Engine) -> None:
    """Replace a dead connection at checkout from the pool.

    SQLAlchemy's ``pool_pre_ping`` costs three round trips for each use. Here a connection that is known to be closed
    costs nothing, and one that was idle for a second costs one round trip.
    """

    def checkin(_driver: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = monotonic()

    def checkout(driver: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if driver.driver_connection.is_closed():
            raise DisconnectionError
        if monotonic() - record.info.get("idle_since", monotonic()) > _IDLE_SECONDS:
            try:
                driver.run_async(lambda connection: connection.execute("SELECT 1", timeout=_PING_SECONDS))
            except Exception as error:
                raise DisconnectionError from error

    event.listen(engine, "checkin", checkin)
    event.listen(engine, "checkout", checkout)


def _notice_lost_machines(engine: Engine) -> None:
    """Let the kernel close connections to a machine that stopped answering, before the statement timeout."""

    def connect(driver: Any, _record: ConnectionPoolEntry) -> None:
        # The driver has no option for this, and no public access to its socket.
        connected = driver.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _TCP.items():
                connected.setsockopt(socket.IPPROTO_TCP, option, value)

    event.listen(engine, "connect", connect)
