"""SQLite's write-ahead log is moved into the database beside the writer.

Left to itself SQLite does it inside the commit that makes the log too long: that one then takes a hundred
times as long as others, 30 to 90 ms where it was measured, and whoever waits for the writer waits too.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor

_log = logging.getLogger(__name__)
_EVERY_PAGES = 4_000

# A writer that never rests adds to the log while it is moved, so that it cannot begin anew; then, at 64 MiB,
# the writer has to do it.
WRITER_EVERY_PAGES = 16_000


class Checkpointer:
    """Moves the log whenever enough was written; its own thread and connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._pages = 0
        self._moving: asyncio.Future[None] | None = None

    def add_pages(self, pages: int) -> None:
        """Count pages that were written, as well as they are known, and begin to move the log if they are enough."""
        self._pages += pages
        if self._pages >= _EVERY_PAGES and (self._moving is None or self._moving.done()):
            self._pages = 0
            self._moving = asyncio.get_running_loop().run_in_executor(self._thread, self._move)

    def _move(self) -> None:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            _log.warning("the database's log could not be moved into it, which will be tried again: %s", error)

    async def close(self) -> None:
        """Finish what was begun and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
