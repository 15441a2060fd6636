"""Writes the history of DAGs with many runs in blocks, so that their long lists need not be made anew each time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from app.clock import Clock
from app.db.database import Database, ReadConnection, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import block_store
from app.db.repositories.block_store import Stale, Writer

_log = logging.getLogger(__name__)
_FIRST_SECONDS, _PAUSE_SECONDS = 10.0, 60.0
_AT_ONCE = 200
_Find = Callable[[ReadConnection], Sequence[Stale]]


class RunBlocks:
    """Writes blocks from time to time. Any number of servers may do so on one database.

    Those in another form, of another version or time zone, are written anew once after the start: of servers that
    differ the last one has its way, and the others read their runs one by one.
    """

    def __init__(self, database: Database, writer: Writer, now: Clock, *, pauses: bool = True) -> None:
        self._database = database
        self._writer = writer
        self._now = now
        self._pauses = pauses
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on in the background; starting twice is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="run blocks")

    async def stop(self) -> None:
        """End; stopping without a start is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        await asyncio.sleep(_FIRST_SECONDS)
        work = self.convert
        while True:
            try:
                await work()
                work = self.run_once
            except DatabaseUnavailable as error:
                _log.warning("no blocks of runs are written for now: %s", error)
            except Exception:  # noqa: BLE001 - the next round may do better
                _log.exception("a round of writing blocks of runs failed")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def convert(self) -> int:
        """Write blocks in other forms anew, then do what ``run_once`` does."""
        form = self._writer.form
        written = await self._renew_all(lambda connection: block_store.find_foreign(connection, form, _AT_ONCE))
        return written + await self.run_once()

    async def run_once(self) -> int:
        """Write all the blocks that can be written by now, and tell how many those were."""
        written = await self._renew_all(lambda connection: block_store.find_stale(connection, _AT_ONCE))
        before = await self._database.read(lambda connection: block_store.find_settled(connection, self._now()))
        for name in await self._database.read(lambda connection: block_store.find_due(connection, before)):
            extend = partial(block_store.extend, name=name, before=before, writer=self._writer)
            while await self._write(extend):
                written += 1
        if written:
            _log.info("wrote %d blocks of runs", written)
        return written

    async def _renew_all(self, find: _Find) -> int:
        written, progress = 0, True
        while progress and (stale := await self._database.read(find)):
            progress = False
            for block in stale:
                if await self._write(partial(block_store.renew, stale=block, writer=self._writer)):
                    progress, written = True, written + 1
        return written

    async def _write(self, work: Callable[[WriteConnection], bool]) -> bool:
        """Write one block, unless another server is at it, then leave the database to others for as long."""
        begin = time.monotonic()
        done = await self._database.write(
            lambda connection: block_store.take_turn(connection) and work(connection), durable=False
        )
        if self._pauses:
            await asyncio.sleep(time.monotonic() - begin)
        return done
