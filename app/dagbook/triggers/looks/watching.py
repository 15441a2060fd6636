"""The watch of directories, so that a look is made at once when something changes in one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import awatch

_log = logging.getLogger(__name__)
_QUIET_MILLISECONDS, _MOST_MILLISECONDS, _YIELD_MILLISECONDS = 50, 500, 1_000


class DirectoryWatch:
    """Calls a function with each directory in which something has changed, with one thread for all.

    It is also called with each directory once this is watched: what came after the last look may not have been seen.
    """

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._watched: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def has(self, directory: str) -> bool:
        """Whether a directory is watched, or none is named."""
        return not directory or directory in self._watched

    async def watch(self, directories: Iterable[str]) -> None:
        """Watch these directories, as far as they exist, and no others."""
        wanted = frozenset(directories)
        is_over = self._task is None or self._task.done()
        if wanted == self._watched and not (is_over and wanted):
            return
        await self.stop()
        self._watched, self._stopping = wanted, asyncio.Event()
        if wanted:
            self._task = asyncio.create_task(self._follow(wanted, self._stopping), name="watch of directories")

    async def stop(self) -> None:
        """Watch nothing; harmless when repeated."""
        self._stopping.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _follow(self, directories: frozenset[str], stopping: asyncio.Event) -> None:
        # A watched directory may be named by a link: changes are reported below its name.
        is_begun = False
        try:
            async for changes in awatch(
                *directories,
                recursive=False,
                watch_filter=None,
                debounce=_MOST_MILLISECONDS,
                step=_QUIET_MILLISECONDS,
                stop_event=stopping,
                ignore_permission_denied=True,
                rust_timeout=_YIELD_MILLISECONDS,
                yield_on_timeout=True,
            ):
                for directory in {str(Path(path).parent) for _, path in changes} if is_begun else directories:
                    self._on_change(directory)
                is_begun = True
        except (OSError, RuntimeError) as error:  # one is gone, or the kernel watches no more
            _log.debug("directories cannot be watched, and are listed at their times only: %s", error)
