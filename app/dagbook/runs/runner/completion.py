"""Waiting for the end of runs, whichever server drives them."""

from __future__ import annotations

import asyncio
import logging

from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs import runs

_log = logging.getLogger(__name__)
_POLL_SECONDS = 1.0  # at runs that another server may drive; an end in this process is told at once


class RunCompletion:
    """Tells those who wait that a run is over."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, key: int) -> None:
        """Return when a run is over."""
        over = self._waiting.setdefault(key, asyncio.Event())
        if await self._find_finished([key]):
            self.notify(key)
        if self._looking is None:
            self._looking = asyncio.create_task(self._poll(), name="ends")
        await over.wait()

    def notify(self, key: int) -> None:
        """Say that a run is over."""
        if over := self._waiting.pop(key, None):
            over.set()

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                for key in await self._find_finished(list(self._waiting)):
                    self.notify(key)
            except DatabaseUnavailable as error:
                _log.warning("cannot see which runs are over: %s", error)
        self._looking = None

    async def _find_finished(self, keys: list[int]) -> list[int]:
        return list(await self._database.read_inline(lambda connection: runs.find_finished(connection, keys)))
