"""Offers carried by PgQueuer, in its own tables, which our migrations make; PostgreSQL only.

An offer is a job whose entrypoint is the selector, as JSON with sorted keys, and whose dedupe key is the run: whoever
wants to take some up asks which selectors there are. A worker that dies between taking an offer and claiming its run
sends no sign of life for it, so PgQueuer gives it to the next one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from asyncpg import InternalClientError  # type: ignore[import-untyped]  # asyncpg brings no types
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.failure import DatabaseUnavailable, telling_unavailable
from app.db.postgres import postgres_arguments
from app.db.url import parse_url, sqlite_path
from app.engine.admission import Labels, fits
from app.queue.carrier import Carrier, NoCarrier, Offer
from app.settings.database_url import PUBLIC

if TYPE_CHECKING:
    from pgqueuer.queries import Queries

T = TypeVar("T")
CHANNEL = "ch_pgqueuer"  # on which PgQueuer's trigger tells of new offers
_SILENCE = timedelta(seconds=15)
_COMMAND_SECONDS = 15.0


def is_installed() -> bool:
    """Whether the extra ``distributed`` is there."""
    return find_spec("pgqueuer") is not None


def make_carrier(url: str, schema: str = PUBLIC) -> Carrier:
    """Give what carries offers through this database, as far as anything does."""
    return PgQueuerCarrier(url, schema) if sqlite_path(url) is None and is_installed() else NoCarrier()


class PgQueuerCarrier:
    """Keeps a connection of its own, from the first use on, and opens it again when it is lost."""

    def __init__(self, url: str, schema: str = PUBLIC) -> None:
        parsed = parse_url(url)
        arguments = postgres_arguments(parsed, "dagbook carrier", schema) | {"command_timeout": _COMMAND_SECONDS}
        self._engine = create_async_engine(parsed, poolclass=NullPool, connect_args=arguments)
        self._raw: Any = None
        self._me = uuid.uuid4()
        self._turn = asyncio.Lock()

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        """Offer runs; see ``Carrier``."""
        if not runs:
            return
        count = len(runs)
        await self._do(
            lambda queries: queries.enqueue(
                [_entrypoint(selector) for selector in runs.values()],
                [str(run).encode() for run in runs],
                [0] * count,
                dedupe_key=[f"run {run}" for run in runs],
                on_conflict="skip",
            )
        )

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:
        """Take up offers; see ``Carrier``."""
        return await self._do(lambda queries: self._take(queries, labels, most))

    async def _take(self, queries: Queries, labels: Labels, most: int) -> Sequence[Offer]:
        from pgqueuer.ports.repository import EntrypointExecutionParameter  # noqa: PLC0415 - an extra
        from pgqueuer.types import QueueManagerId  # noqa: PLC0415 - an extra

        offered = {one.entrypoint for one in await queries.queue_size()}
        fitting = sorted(one for one in offered if fits(_selector(one), labels))
        if not fitting:
            return ()
        wanted = dict.fromkeys(fitting, EntrypointExecutionParameter(concurrency_limit=0))
        jobs = await queries.dequeue(most, wanted, QueueManagerId(self._me), None, _SILENCE)
        return [Offer(int(job.payload), job) for job in jobs if job.payload is not None]

    async def settle(self, offers: Sequence[Offer]) -> None:
        """Remove offers; see ``Carrier``."""
        await self._do(lambda queries: _settle(queries, offers))

    async def close(self) -> None:
        """Let go of the connection."""
        async with self._turn:
            self._drop()
            await self._engine.dispose()

    async def _do(self, work: Callable[[Queries], Awaitable[T]]) -> T:
        async with self._turn:
            try:
                with telling_unavailable("postgresql"):
                    return await work(await self._queries())
            except InternalClientError as error:  # what asyncpg says of a connection that is just being lost
                self._drop()
                raise DatabaseUnavailable("the connection to PostgreSQL was lost") from error
            except BaseException:
                self._drop()
                raise

    async def _queries(self) -> Queries:
        if self._raw is not None and self._raw.driver_connection.is_closed():
            self._drop()
        if self._raw is None:
            self._raw = await self._engine.raw_connection()
        return _make_queries(self._raw.driver_connection)

    def _drop(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.invalidate()


def _make_queries(connection: Any) -> Queries:
    # Imported when the first run asks for a worker: it brings pydantic, which other servers do without.
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver  # noqa: PLC0415 - an extra
    from pgqueuer.adapters.persistence.qb import QueryQueueBuilder  # noqa: PLC0415 - an extra
    from pgqueuer.domain.settings import DBSettings  # noqa: PLC0415 - an extra
    from pgqueuer.queries import Queries  # noqa: PLC0415 - an extra

    # The names of its tables are ours to say, whatever PGQUEUER_PREFIX is for somebody else's.
    builder = QueryQueueBuilder(settings=DBSettings(prefix="", db_schema=None))
    return Queries(AsyncpgDriver(connection), qbq=builder)


async def _settle(queries: Queries, offers: Sequence[Offer]) -> None:
    await queries.log_jobs([(offer.record, "successful", None) for offer in offers])
    # What became of a run stands in its history; nobody reads PgQueuer's.
    await queries.clear_queue_log(sorted({offer.record.entrypoint for offer in offers}))


def _entrypoint(selector: Labels) -> str:
    return msgspec.json.encode(dict(sorted(selector.items()))).decode()


def _selector(entrypoint: str) -> Labels:
    return msgspec.json.decode(entrypoint, type=dict[str, str])
