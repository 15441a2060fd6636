"""The way to the rows. All about locking, threads and connections is here, in ``sqlite`` and in ``postgres``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select, text

from dagbook.db.backend import Backend, Read, ReadConnection, T, Write, WriteConnection
from dagbook.db.errors import DatabaseUnavailable, translate_errors
from dagbook.db.notifications import Notifications
from dagbook.db.postgres.postgres import Postgres
from dagbook.db.single_flight import SingleFlight
from dagbook.db.sqlite.sqlite import Sqlite
from dagbook.db.url import parse_url
from dagbook.settings.database_url import PUBLIC

__all__ = ["OUTPUT", "VISIBLE", "Database", "ReadConnection", "Write", "WriteConnection", "mark_changed"]

# What a transaction tells of, for those of this process who wait for it: changes for everybody, output of steps.
VISIBLE, OUTPUT = "visible", "output"
_CHANGED = "told"

_POOL_SIZE = 16


class Database:
    """One database, SQLite or PostgreSQL, open for one event loop.

    Errors of the database pass through as SQLAlchemy's, except those that mean "not now",
    which are ``DatabaseUnavailable``.
    """

    def __init__(self, engines: Backend) -> None:
        self._backend = engines
        self._listeners: list[Callable[[set[str]], None]] = []
        self._probe = SingleFlight(lambda: self.read(_read_one_row))

    def on_commit(self, listener: Callable[[set[str]], None]) -> None:
        """Call ``listener`` after each commit that tells of something (``note_told``), with what it tells of."""
        self._listeners.append(listener)

    @classmethod
    async def open(
        cls, url: str, *, schema: str = PUBLIC, application: str = "dagbook", pool_size: int = _POOL_SIZE
    ) -> Database:
        """Connect to the database at ``url`` and see that it answers.

        On PostgreSQL the tables are in ``schema``, ``application`` is the name that is shown for the connections,
        ``pool_size`` how many there are at most. ``ValueError`` when the URL is not understood.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            database = cls(Sqlite(parsed))
        else:
            database = cls(Postgres(parsed, application, pool_size, schema))
        try:
            await database.read(lambda connection: connection.scalar(select(1)))
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def notifications(self) -> Notifications | None:
        """The way to the other processes on this database; None where there can be none."""
        return self._backend.notifications

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._backend.dialect

    async def read(self, work: Read[T]) -> T:
        """Run work that only reads and may take long."""
        with translate_errors(self.dialect):
            return await self._backend.read(work)

    async def read_inline(self, work: Read[T]) -> T:
        """Run work that reads a few rows through an index.

        On SQLite it runs in the caller's thread, ten times cheaper than ``read``, while
        everything else in the loop waits: nothing that scans belongs here.
        """
        with translate_errors(self.dialect):
            return await self._backend.read_inline(work)

    async def answers_within(self, seconds: float) -> bool:
        """Tell whether the database answers a read within some seconds.

        One read answers all that ask at the same time, so a database that hangs never holds more than two connections
        for this.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._probe.get()
        except (DatabaseUnavailable, TimeoutError):
            return False
        return True

    async def snapshot(self, work: Read[T]) -> T:
        """Run work that only reads, takes as long as it takes, and sees one state of the database throughout.

        What others commit meanwhile is kept twice until the end.
        """
        with translate_errors(self.dialect):
            return await self._backend.snapshot(work)

    async def write(self, work: Write[T], *, durable: bool = True) -> T:
        """Run work in a transaction that is committed when it returns and rolled back when it raises.

        A cancelled caller does not take the write along: once asked for, it is done
        completely or not at all. On PostgreSQL ``work`` may be called again, after a rollback in favour of another
        transaction: it must not change anything but rows. What is not ``durable`` may be lost when this machine
        fails, but never when a later durable write is kept. A database on another machine keeps it all the
        same: it may fail alone, and who wrote before would go on behind a gap.
        """
        told: set[str] = set()

        def noted(connection: WriteConnection) -> T:
            connection.info[_CHANGED] = told
            return work(connection)

        with translate_errors(self.dialect):
            return await self._backend.write(noted, lambda: self._notify_listeners(told), durable=durable)

    def _notify_listeners(self, told: set[str]) -> None:
        if told:
            for listener in self._listeners:
                listener(told)

    @asynccontextmanager
    async def try_lock(self, purpose: str) -> AsyncIterator[bool]:
        """Tell whether nobody else does the same on this database for as long as the block lasts.

        Whoever dies, or loses the connection to PostgreSQL, is not alone any more: what is done must bear that.
        """
        with translate_errors(self.dialect):
            async with self._backend.try_lock(purpose) as is_alone:
                yield is_alone

    async def close(self) -> None:
        """Finish the writes that were asked for, then close all connections; harmless when repeated."""
        await self._backend.close()


def _read_one_row(connection: ReadConnection) -> None:
    # Of a table: SQLite answers SELECT 1 without its file.
    connection.scalar(text("SELECT version_num FROM alembic_version"))


def mark_changed(connection: WriteConnection, what: str) -> None:
    """Note that this transaction tells of something: ``VISIBLE`` or ``OUTPUT``."""
    connection.info.setdefault(_CHANGED, set()).add(what)
