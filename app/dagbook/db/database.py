"""Access to the database. Locking, threads and connections are handled here and in the two backends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVarTuple

from sqlalchemy import select, text

from dagbook.db.backend import Backend, ReadConnection, T, Write, WriteConnection
from dagbook.db.errors import DatabaseUnavailable, translate_errors
from dagbook.db.notifications import Notifications
from dagbook.db.postgres.postgres import Postgres
from dagbook.db.single_flight import SingleFlight
from dagbook.db.sqlite.sqlite import Sqlite
from dagbook.db.url import PUBLIC, parse_url

__all__ = [
    "ALERTS",
    "AUDIT",
    "BATCHES",
    "OUTPUT",
    "TRIGGERS",
    "VISIBLE",
    "Database",
    "ReadConnection",
    "Write",
    "WriteConnection",
    "mark_changed",
]

# What a transaction changed, for listeners in this process: rows of the live feed, output of steps, the audit, what is
# to be told by alerts, events of triggers that wait, or what batches may go on with.
VISIBLE, OUTPUT, AUDIT, ALERTS, TRIGGERS, BATCHES = "visible", "output", "audit", "alerts", "triggers", "batches"
_log = logging.getLogger(__name__)
_CHANGED = "changed"  # key in ``Connection.info``

P = ParamSpec("P")
Arguments = TypeVarTuple("Arguments")
_POOL_SIZE = 8
_PATIENT_PAUSE_SECONDS = 1.0
_PROBLEM_SECONDS = 10.0  # without a failed write, until another one shows that the problem has ended


class Database:
    """One database, SQLite or PostgreSQL, opened for one event loop.

    Database errors are raised as SQLAlchemy's, except ``DatabaseUnavailable`` for those that mean that the database is
    unavailable at present, and ``Conflict`` for violated constraints.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._listeners: list[Callable[[set[str]], None]] = []
        self._write_problem, self._failed_at = "", 0.0
        # A row of a table: SQLite answers SELECT 1 without its file.
        probe = text("SELECT version_num FROM alembic_version")
        self._probe = SingleFlight(lambda: self.read(lambda connection: connection.scalar(probe)))

    def on_commit(self, listener: Callable[[set[str]], None]) -> None:
        """Call ``listener`` after each commit of a transaction with ``mark_changed``, with the set of its changes."""
        self._listeners.append(listener)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        schema: str = PUBLIC,
        application: str = "dagbook",
        pool_size: int = _POOL_SIZE,
        read_only: bool = False,
    ) -> Database:
        """Connect to the database at ``url`` and check that it answers.

        On PostgreSQL the tables are in ``schema``, ``application`` is the connections' application name, and
        ``pool_size`` the maximum number of those that read, and of those that write. A SQLite file that is
        ``read_only`` is never changed: every write raises ``DatabaseUnavailable``. Raises ``ValueError`` for an invalid
        URL.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            database = cls(Sqlite(parsed, read_only=read_only))
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
        """Notifications between the processes on this database; None on SQLite, which has one process."""
        return self._backend.notifications

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._backend.dialect

    async def read(
        self, work: Callable[Concatenate[ReadConnection, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Run read-only work that may take long, with a connection and these arguments."""
        with translate_errors(self.dialect):
            return await self._backend.read(lambda connection: work(connection, *arguments, **options))

    async def read_inline(
        self, work: Callable[Concatenate[ReadConnection, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Run work that reads a few rows through an index, with a connection and these arguments.

        On SQLite it runs in the caller's thread, ten times cheaper than ``read``, and blocks the event loop meanwhile:
        do not use it for scans.
        """
        with translate_errors(self.dialect):
            return await self._backend.read_inline(lambda connection: work(connection, *arguments, **options))

    async def answers_within(self, seconds: float) -> bool:
        """Whether the database answers a read within some seconds.

        Concurrent calls share one read, so a database that hangs never occupies more than two connections for this.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._probe.get()
        except (DatabaseUnavailable, TimeoutError):
            return False
        return True

    async def snapshot(
        self, work: Callable[Concatenate[ReadConnection, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Run read-only work, without a time limit, that sees one state of the database throughout.

        Until it is finished, the database keeps the old versions of rows that others change.
        """
        with translate_errors(self.dialect):
            return await self._backend.snapshot(lambda connection: work(connection, *arguments, **options))

    async def write(
        self,
        work: Callable[[WriteConnection, *Arguments], T],
        *arguments: *Arguments,
        durable: bool = True,
        by_keys: bool = False,
    ) -> T:
        """Run work, with a connection and these arguments, in a transaction.

        It is committed when the work returns, and rolled back when it raises.

        Cancelling the caller does not cancel the write: it is done completely or not at all. On PostgreSQL ``work`` may
        be called again after a serialization failure, so it must have no effects besides rows. A write that is not
        ``durable`` may be lost when this machine fails, but not if a later durable write survives. PostgreSQL makes
        every write durable: its machine may fail alone, and this server would continue after a gap. A write ``by_keys``
        finds all its rows by an index; PostgreSQL plans its statements once for each connection.
        """
        changed: set[str] = set()

        def tracked(connection: WriteConnection) -> T:
            connection.info[_CHANGED] = changed
            return work(connection, *arguments)

        def notify_listeners() -> None:
            if changed:
                for listener in self._listeners:
                    listener(changed)

        try:
            with translate_errors(self.dialect):
                result = await self._backend.write(tracked, notify_listeners, durable=durable, by_keys=by_keys)
        except DatabaseUnavailable as error:
            if error.lasts:
                self._write_problem, self._failed_at = error.reason, time.monotonic()
            raise
        if self._write_problem and time.monotonic() - self._failed_at > _PROBLEM_SECONDS:
            self._write_problem = ""
        return result

    async def write_patiently(
        self, work: Callable[[WriteConnection, *Arguments], T], *arguments: *Arguments, ends: Callable[[], bool]
    ) -> T:
        """Run work as ``write``, again and again while the database is unavailable.

        For what this process alone knows. Raises DatabaseUnavailable once the process ``ends``.
        """
        while True:
            try:
                return await self.write(work, *arguments)
            except DatabaseUnavailable as error:
                if ends():
                    raise
                _log.warning("a result could not be stored, trying again: %s", error)
                await asyncio.sleep(_PATIENT_PAUSE_SECONDS)

    @property
    def write_problem(self) -> str:
        """Why writes fail: the disk is full, or the database read-only; empty when they succeed.

        On a full disk short writes may succeed among others that fail, so one that succeeds ends a problem only when
        none has failed for ten seconds.
        """
        return self._write_problem

    @asynccontextmanager
    async def try_lock(self, purpose: str) -> AsyncIterator[bool]:
        """Hold a lock on this database inside the block; yields False when another process has it.

        A process that loses its connection to PostgreSQL also loses the lock without notice: the locked work must be
        safe when it is done twice at the same time.
        """
        with translate_errors(self.dialect):
            async with self._backend.try_lock(purpose) as is_locked:
                yield is_locked

    async def close(self) -> None:
        """Finish pending writes, then close all connections; harmless when repeated."""
        await self._backend.close()


def mark_changed(connection: WriteConnection, what: str) -> None:
    """Record what this transaction changes, one of the constants above, for ``Database.on_commit``."""
    connection.info.setdefault(_CHANGED, set()).add(what)
