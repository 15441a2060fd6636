"""Notifies the servers in other processes of free queue slots: with NOTIFY, on PostgreSQL.

A server that serves queues fills the slots that it frees itself. A run in a terminal and a stopping server do not:
they notify the others when they end.
"""

from __future__ import annotations

import logging

from sqlalchemy import func, select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.engine.admission import QueueConfig
from dagbook.runs.queue_signal import QueueSignal

_log = logging.getLogger(__name__)
_CHANNEL = "dagbook_queues"


class QueueNotifier:
    """Passes the queue signal between processes; a lost notification costs at most 30 s (fallback poll)."""

    def __init__(self, database: Database, signal: QueueSignal, queues: QueueConfig) -> None:
        self._database = database
        self._signal = signal
        self._wakeups = database.notifications if queues.enabled else None

    def start(self) -> None:
        """Start listening, where queues are served; starting twice is harmless."""
        if self._wakeups is not None:
            self._wakeups.listen(_CHANNEL, self._signal.notify)

    async def stop(self) -> None:
        """Stop listening; stopping without a start is harmless."""
        if self._wakeups is not None:
            await self._wakeups.unlisten(_CHANNEL)

    async def notify(self) -> None:
        """Wake the dispatchers of all other servers on this database."""

        def work(connection: WriteConnection) -> None:
            # In a transaction: the caller may end, without a listening connection. SQLite has one server only.
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_notify(_CHANNEL, "")))

        try:
            await self._database.write(work)
        except DatabaseUnavailable as error:
            _log.warning("other servers were not notified of free queue slots: %s", error)
