"""Deletes old rows of the live feed, in batches."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from dagbook.clock import Clock
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import changes
from dagbook.db.repositories.changes import FeedCursor

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 60.0
_BATCH = 1000  # deleted in one transaction, so that runs do not wait for long


class ChangePruner:
    """Deletes changes older than ``retention_seconds``, except the newest of them."""

    def __init__(self, database: Database, retention_seconds: float, now: Clock) -> None:
        self._database = database
        self._retention = timedelta(seconds=retention_seconds)
        self._now = now
        self._task: asyncio.Task[None] | None = None

    async def initialise(self) -> None:
        """Create the first cursor of the feed if there is none; before it is read."""
        await self._database.write(changes.initialise)

    def start(self) -> None:
        """Start in the background; starting twice is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="change pruner")

    async def stop(self) -> None:
        """Stop; stopping without a start is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def run_once(self) -> int:
        """Delete expired rows, and return their number."""
        before = self._now() - self._retention
        deleted = 0
        while end := await self._database.read_inline(
            lambda connection: changes.find_expired(connection, before, _BATCH)
        ):
            deleted += await self._delete(end)
        return deleted

    async def _delete(self, cursor: FeedCursor) -> int:
        return await self._database.write(lambda connection: changes.delete_before(connection, cursor), durable=False)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self.run_once()
            except DatabaseUnavailable as error:
                _log.warning("old changes are not deleted for now: %s", error)
            except Exception:  # noqa: BLE001 - an error must not stop the pruner
                _log.exception("old changes could not be deleted")
