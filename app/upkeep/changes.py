"""The live feed's rows go when they are old, a few at a time."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from app.clock import Clock
from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.db.repositories import changes
from app.db.repositories.changes import Place

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 60.0
_BATCH = 1000  # removed in one transaction, so that no run waits for long


class Forgetting:
    """Removes changes that are older than ``retention_seconds``, but the newest of those."""

    def __init__(self, database: Database, retention_seconds: float, now: Clock) -> None:
        self._database = database
        self._retention = timedelta(seconds=retention_seconds)
        self._now = now
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Give the feed its first place where it has none; before anybody reads it."""
        await self._database.write(changes.begin)

    def start(self) -> None:
        """Go on in the background; starting twice is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="forgetting")

    async def stop(self) -> None:
        """End; stopping without a start is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def run_once(self) -> int:
        """Remove what is too old, and tell how many rows that were."""
        before = self._now() - self._retention
        removed = 0
        while place := await self._database.glance(lambda connection: changes.find_expired(connection, before, _BATCH)):
            removed += await self._forget(place)
        return removed

    async def _forget(self, place: Place) -> int:
        return await self._database.write(lambda connection: changes.forget(connection, place), durable=False)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self.run_once()
            except DatabaseUnavailable as error:
                _log.warning("old changes stay for now: %s", error)
            except Exception:  # noqa: BLE001 - the next round may do better
                _log.exception("old changes could not be removed")
