"""Cached counts of runs by status."""

from __future__ import annotations

import asyncio
import time

from dagbook.db.database import Database
from dagbook.db.repositories.runs import run_history
from dagbook.engine.status import RunStatus

_MIN_AGE_SECONDS = 1.0
_REST = 100  # counting takes at most 1 % of the time


class RunTotals:
    """Counts of runs by status, cached for a time that grows with the cost of counting: there may be millions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._counted: dict[RunStatus, int] = {}
        self._fresh_until = 0.0

    async def read(self) -> dict[RunStatus, int]:
        """Return the counts by status, possibly from the cache."""
        async with self._lock:
            started = time.monotonic()
            if started >= self._fresh_until:
                self._counted = await self._database.read(run_history.count_runs)
                finished = time.monotonic()
                self._fresh_until = finished + max(_MIN_AGE_SECONDS, (finished - started) * _REST)
            return self._counted
