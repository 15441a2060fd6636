"""Deletes old rows of the live feed, in batches."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import changes

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 60.0
_BATCH = 1000  # deleted in one transaction, so that runs do not wait for long


class ChangePruner:
    """Deletes changes older than ``retention_seconds``, except the newest of them."""

    def __init__(self, database: Database, retention_seconds: float, now: Clock) -> None:
        self._database = database
        self._retention = timedelta(seconds=retention_seconds)
        self._now = now
        self._loop = BackgroundLoop(
            "change pruner",
            self.run_once,
            every_seconds=_PAUSE_SECONDS,
            failure="old changes are not deleted for now",
            expected=(DatabaseUnavailable,),
        )

    async def initialise(self) -> None:
        """Create the first cursor of the feed if there is none; before it is read."""
        await self._database.write(changes.initialise)

    def start(self) -> None:
        """Start in the background; starting twice is harmless."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop after the active batch; stopping without a start is harmless."""
        await self._loop.stop()

    async def run_once(self) -> int:
        """Delete expired rows, and return their number."""
        before = self._now() - self._retention
        deleted = 0
        while not self._loop.is_stopping:
            end = await self._database.read_inline(lambda connection: changes.find_expired(connection, before, _BATCH))
            if end is None:
                break
            deleted += await self._database.write(partial(changes.delete_before, before=end), durable=False)
        return deleted
