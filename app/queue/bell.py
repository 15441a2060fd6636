"""Wakes the servers of other processes when a place may have become free: by NOTIFY, on PostgreSQL.

Whoever frees a place fills it, so nobody rings who serves queues. A terminal's run serves none, and a server that is
being stopped no more: they ring when they leave.
"""

from __future__ import annotations

import logging

from sqlalchemy import func, select

from app.db.database import Database, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.engine.admission import QueueConfig
from app.runs.signal import QueueSignal

_log = logging.getLogger(__name__)
_CHANNEL = "dagbook_queues"


class Bell:
    """Tells of queues between processes; a bell that is not heard costs half a minute, until everybody looks anyway."""

    def __init__(self, database: Database, signal: QueueSignal, queues: QueueConfig) -> None:
        self._database = database
        self._signal = signal
        self._wakeups = database.wakeups if queues.enabled else None

    def start(self) -> None:
        """Begin to hear others, where queues are served; starting twice is harmless."""
        if self._wakeups is not None:
            self._wakeups.hear(_CHANNEL, self._signal.tell)

    async def stop(self) -> None:
        """Hear nobody any more; stopping without a start is harmless."""
        if self._wakeups is not None:
            await self._wakeups.leave(_CHANNEL)

    async def ring(self) -> None:
        """Wake all others that serve queues of this database."""
        try:
            await self._database.write(_tell)
        except DatabaseUnavailable as error:
            _log.warning("other servers were not told that places may be free: %s", error)


def _tell(connection: WriteConnection) -> None:
    """Tell within a commit: whoever rings may be about to end, and listen to nobody. A file has nobody else."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(_CHANNEL, "")))
