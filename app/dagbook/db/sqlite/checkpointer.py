"""Checkpoints of SQLite's write-ahead log."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor

_log = logging.getLogger(__name__)
_EVERY_PAGES = 4_000

# If the writer never pauses, it appends to the log during each checkpoint, and the log is never reset; at 64 MiB the
# writer then does a checkpoint itself.
WRITER_EVERY_PAGES = 16_000


class Checkpointer:
    """Does a checkpoint whenever enough pages were written, in its own thread and connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._pages = 0
        self._running: asyncio.Future[None] | None = None

    def add_pages(self, pages: int) -> None:
        """Add an estimate of written pages, and start a checkpoint when they are enough."""
        self._pages += pages
        if self._pages >= _EVERY_PAGES and (self._running is None or self._running.done()):
            self._pages = 0
            self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._checkpoint)

    def _checkpoint(self) -> None:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            _log.warning("checkpoint of the database failed and will be retried: %s", error)

    async def close(self) -> None:
        """Finish a running checkpoint and close the connection."""

        def close_connection() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        await asyncio.get_running_loop().run_in_executor(self._thread, close_connection)
        self._thread.shutdown()
