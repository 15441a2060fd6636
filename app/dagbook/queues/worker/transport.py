"""Offers of runs to workers: the port, and PgQueuer's tables, which our migrations create (PostgreSQL only).

The run's row and its queue entry stay authoritative: an offer may be lost, repeated or out of date. A worker that takes
an offer claims the run as a dispatcher does; servers repeat the offer until the run is claimed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from asyncpg import InternalClientError
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.errors import DatabaseUnavailable, translate_errors
from dagbook.db.postgres.postgres import postgres_arguments
from dagbook.db.url import PUBLIC, parse_url, sqlite_path
from dagbook.engine.admission import Labels, fits

T = TypeVar("T")
CHANNEL = "ch_pgqueuer"  # PgQueuer's trigger notifies it of new offers
_HEARTBEAT_TIMEOUT = timedelta(seconds=15)
_COMMAND_SECONDS = 15.0


class Offer(msgspec.Struct, frozen=True):
    """A run that a worker has taken, and the transport's record of the offer."""

    run: int
    record: Any = None


class WorkerTransport(Protocol):
    """Transports offers; every method raises DatabaseUnavailable."""

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        """Offer runs to workers that have the labels; a run that is offered already is not offered twice."""

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:
        """Take at most ``most`` offers for a worker with these labels; no other worker gets them for a while."""

    async def remove(self, offers: Sequence[Offer]) -> None:
        """Remove offers that were taken, whether or not their runs were started."""

    async def close(self) -> None:
        """Close the connection."""


class NullTransport:
    """The transport without workers: runs with a worker selector stay queued (``QueueConfig.workers``)."""

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        pass

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:  # noqa: ARG002 - the protocol's signature
        return ()

    async def remove(self, offers: Sequence[Offer]) -> None:
        pass

    async def close(self) -> None:
        pass


if TYPE_CHECKING:
    from pgqueuer.queries import Queries


def is_installed() -> bool:
    """Whether the extra ``distributed`` is installed."""
    return find_spec("pgqueuer") is not None


def make_transport(url: str, schema: str = PUBLIC) -> WorkerTransport:
    """Make the transport of a database; on SQLite or without the extra it has no workers."""
    return PgQueuerTransport(url, schema) if sqlite_path(url) is None and is_installed() else NullTransport()


class PgQueuerTransport:
    """Uses its own connection, opened at the first use and again when it was lost."""

    def __init__(self, url: str, schema: str = PUBLIC) -> None:
        parsed = parse_url(url)
        arguments = postgres_arguments(parsed, "dagbook transport", schema) | {"command_timeout": _COMMAND_SECONDS}
        self._engine = create_async_engine(parsed, poolclass=NullPool, connect_args=arguments)
        self._connection: Any = None
        self._worker_id = uuid.uuid4()
        self._lock = asyncio.Lock()

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        """See ``WorkerTransport``."""
        if not runs:
            return
        count = len(runs)
        await self._execute(
            lambda queries: queries.enqueue(
                [msgspec.json.encode(dict(sorted(selector.items()))).decode() for selector in runs.values()],
                [str(run).encode() for run in runs],
                [0] * count,
                dedupe_key=[f"run {run}" for run in runs],
                on_conflict="skip",
            )
        )

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:
        """See ``WorkerTransport``."""
        return await self._execute(lambda queries: self._take(queries, labels, most))

    async def _take(self, queries: Queries, labels: Labels, most: int) -> Sequence[Offer]:
        from pgqueuer.ports.repository import EntrypointExecutionParameter  # noqa: PLC0415 - an extra
        from pgqueuer.types import QueueManagerId  # noqa: PLC0415 - an extra

        offered = {one.entrypoint for one in await queries.queue_size()}
        # An entrypoint is the JSON of the worker selector.
        fitting = sorted(one for one in offered if fits(msgspec.json.decode(one, type=dict[str, str]), labels))
        if not fitting:
            return ()
        wanted = dict.fromkeys(fitting, EntrypointExecutionParameter(concurrency_limit=0))
        jobs = await queries.dequeue(most, wanted, QueueManagerId(self._worker_id), None, _HEARTBEAT_TIMEOUT)
        return [Offer(int(job.payload), job) for job in jobs if job.payload is not None]

    async def remove(self, offers: Sequence[Offer]) -> None:
        """See ``WorkerTransport``."""

        async def work(queries: Queries) -> None:
            await queries.log_jobs([(offer.record, "successful", None) for offer in offers])
            # The history of runs is in Dagbook's tables; PgQueuer's log is not used.
            await queries.clear_queue_log(sorted({offer.record.entrypoint for offer in offers}))

        await self._execute(work)

    async def close(self) -> None:
        """Close the connection."""
        async with self._lock:
            self._disconnect()
            await self._engine.dispose()

    async def _execute(self, work: Callable[[Queries], Awaitable[T]]) -> T:
        async with self._lock:
            try:
                with translate_errors("postgresql"):
                    return await work(await self._queries())
            except InternalClientError as error:  # raised by asyncpg while a connection is being lost
                self._disconnect()
                raise DatabaseUnavailable("the connection to PostgreSQL was lost") from error
            except BaseException:
                self._disconnect()
                raise

    async def _queries(self) -> Queries:
        if self._connection is not None and self._connection.driver_connection.is_closed():
            self._disconnect()
        if self._connection is None:
            self._connection = await self._engine.raw_connection()
        return _make_queries(self._connection.driver_connection)

    def _disconnect(self) -> None:
        raw, self._connection = self._connection, None
        if raw is not None:
            raw.invalidate()


def _make_queries(connection: Any) -> Queries:
    # Imported for the first run with a worker selector: it needs pydantic, which other servers do not load.
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver  # noqa: PLC0415 - an extra
    from pgqueuer.adapters.persistence.qb import QueryQueueBuilder  # noqa: PLC0415 - an extra
    from pgqueuer.domain.settings import DBSettings  # noqa: PLC0415 - an extra
    from pgqueuer.queries import Queries  # noqa: PLC0415 - an extra

    # The migrations fix the names of the tables: PGQUEUER_PREFIX must not change them.
    builder = QueryQueueBuilder(settings=DBSettings(prefix="", db_schema=None))
    return Queries(AsyncpgDriver(connection), qbq=builder)
