"""The loops that keep sources up to date: one for each, every minute, and sooner when a directory is changed."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from pathlib import Path

from watchfiles import awatch

from dagbook.background import BackgroundLoop
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.sources import DIRECTORY, SourceRow
from dagbook.sources.service import Sources

_log = logging.getLogger(__name__)
_REFRESH_SECONDS = 15.0  # until a source that another process has added is read here
_QUIET_MILLISECONDS = 200  # without a change before the files are read: programs write in several steps
_MOST_MILLISECONDS = 2_000


class SourceLoops:
    """Syncs all sources of the database until it is stopped."""

    def __init__(self, sources: Sources, every_seconds: float) -> None:
        self._sources = sources
        self._every_seconds = every_seconds
        self._loops: dict[str, _SourceLoop] = {}
        self._loop = BackgroundLoop(
            "sources",
            self._refresh,
            every_seconds=_REFRESH_SECONDS,
            failure="the sources could not be read",
            expected=(DatabaseUnavailable,),
            back_off_seconds=1.0,
        )

    def start(self) -> None:
        """Sync all sources now, and go on."""
        self._sources.on_change = self._loop.wake
        self._loop.start(first_seconds=0)

    async def stop(self) -> None:
        """Stop; syncs that are active are interrupted."""
        await self._loop.stop()
        await self._sources.close()
        await asyncio.gather(*(loop.stop() for loop in self._loops.values()))

    async def _refresh(self) -> None:
        found = {status.row.name: status.row for status in await self._sources.find()}
        for name in self._loops.keys() - found.keys():
            await self._loops.pop(name).stop()
        for name, row in found.items():
            if name not in self._loops:
                self._loops[name] = _SourceLoop(self._sources, row, self._every_seconds)
            self._loops[name].watch(row)


class _SourceLoop:
    def __init__(self, sources: Sources, row: SourceRow, every_seconds: float) -> None:
        self._loop = BackgroundLoop(
            f"source {row.name}",
            partial(sources.sync, row.name),
            every_seconds=every_seconds,
            failure=f"the source {row.name} could not be synced",
            expected=(DatabaseUnavailable,),
            back_off_seconds=1.0,
        )
        self._loop.start(first_seconds=0)
        self._watched: tuple[str, int, int] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_warned = False
        self._stopping = asyncio.Event()

    def watch(self, row: SourceRow) -> None:
        """Watch the directory, or the one to which its name leads by now."""
        if row.kind != DIRECTORY:
            return
        real = os.path.realpath(Path(row.place) / row.path)
        try:
            found = Path(real).stat()
        except OSError:
            return  # the sync says so
        key = (real, found.st_dev, found.st_ino)  # one that was made again has another number
        if self._watching is not None and not self._watching.done() and key == self._watched:
            return
        self._stopping.set()
        self._stopping = asyncio.Event()
        self._watched = key
        self._watching = asyncio.create_task(self._watch(real, self._stopping), name=f"watch {real}")

    async def _watch(self, directory: str, stopping: asyncio.Event) -> None:
        try:
            async for _ in awatch(
                directory,
                watch_filter=lambda _, path: "/.git/" not in path,
                debounce=_MOST_MILLISECONDS,
                step=_QUIET_MILLISECONDS,
                stop_event=stopping,
                ignore_permission_denied=True,
            ):
                self._loop.wake()
        except (OSError, RuntimeError) as error:  # it is gone, or the kernel watches no more files
            level = logging.DEBUG if self._is_warned else logging.WARNING  # it is tried again and again
            _log.log(level, "%s cannot be watched, and is read every minute: %s", directory, error)
            self._is_warned = True

    async def stop(self) -> None:
        """Stop watching, and syncing."""
        self._stopping.set()
        if self._watching is not None:
            await self._watching
        await self._loop.stop()
