"""How many runs there are, without counting millions of them at every look."""

from __future__ import annotations

import asyncio
import time

from dagbook.db.database import Database
from dagbook.db.repositories.runs import counts

_MIN_AGE_SECONDS = 1.0
_REST = 100  # counting takes at most a hundredth of the time


class RunTotals:
    """How many runs have ended in which way, counted again only after a rest: there may be millions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._counted: dict[int, int] = {}
        self._fresh_until = 0.0

    async def read(self) -> dict[int, int]:
        """Return the counts by status, somewhat old ones perhaps."""
        async with self._lock:
            begun = time.monotonic()
            if begun >= self._fresh_until:
                self._counted = await self._database.read(counts.count_runs)
                ended = time.monotonic()
                self._fresh_until = ended + max(_MIN_AGE_SECONDS, (ended - begun) * _REST)
            return self._counted
