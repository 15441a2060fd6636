"""Deletes runs in transactions of a bounded size, so that other writers do not wait.

After each one it pauses for as long as that took: others have at least half of the writer's time. A deletion that is
lost in a crash of the machine is repeated later, so no commit waits for the disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import deletion
from dagbook.db.repositories.deletion import BatchLimit, Size
from dagbook.db.storage import count_free_pages, vacuum

T = TypeVar("T")
_PAGE = 100
_MIN_PAUSE, _MAX_PAUSE = 0.001, 0.5
_PAGES = 256  # 1 MiB of a SQLite file, freed in one transaction
_RESERVE_PAGES = 2_048  # kept for new rows
_DEFINITIONS = 200


class DeletionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted: root runs with their sub-runs, log bytes, definitions, pages of a SQLite file."""

    runs: int = 0
    log_bytes: int = 0
    chunks: int = 0
    definitions: int = 0
    pages: int = 0

    def __add__(self, other: DeletionResult) -> DeletionResult:
        return DeletionResult(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class RunDeleter:
    """Deletes the given runs until ``may_continue`` returns False; the next deleter continues.

    ``removing`` is called in each transaction with the keys of the root runs that it removes.
    """

    def __init__(
        self,
        database: Database,
        may_continue: Callable[[], bool],
        bound: BatchLimit | None = None,
        removing: Callable[[WriteConnection, Sequence[int]], None] = lambda _connection, _keys: None,
    ) -> None:
        self._database = database
        self._removing = removing
        self._may_continue = may_continue
        self._bound = bound or BatchLimit()
        self.deleted = DeletionResult()
        self.was_interrupted = False

    async def delete(self, keys: Sequence[int], at: datetime, until: datetime) -> None:
        """Delete the root runs that ended before ``until`` and may still be deleted."""
        for begin in range(0, len(keys), _PAGE):
            page = keys[begin : begin + _PAGE]
            sizes = await self._database.read(partial(deletion.size_of, keys=page))
            for group in batch(sizes, self._bound):
                if not self._continues():
                    return
                if len(group) == 1 and is_large(sizes[group[0]], self._bound):
                    await self._delete_large(group[0], at, until)
                else:
                    await self._delete_group(group, sizes, until)

    async def finish(self, at: datetime) -> None:
        """Continue with partly deleted runs."""
        for key in await self._database.read(deletion.find_deleting):
            if not self._continues():
                return
            await self._delete_large(key, at, at)

    async def delete_unused_definitions(self) -> None:
        """Delete the definitions that no run, DAG or revision references."""
        after = ""
        while self._continues():
            hashes = await self._database.read(partial(deletion.find_unused, after=after, most=_DEFINITIONS))
            if not hashes:
                return
            count = await self._write(partial(deletion.remove_unused, hashes=hashes))
            self.deleted += DeletionResult(definitions=count)
            after = hashes[-1]

    async def free_pages(self) -> None:
        """Shrink a SQLite file step by step, except for a reserve."""
        while self._continues():
            free = await self._database.read_inline(count_free_pages)
            pages = min(free - _RESERVE_PAGES, _PAGES)
            if pages <= 0:
                return
            await self._write(partial(vacuum, pages=pages))
            self.deleted += DeletionResult(pages=pages)

    async def _delete_group(self, group: Sequence[int], sizes: Mapping[int, Size], until: datetime) -> None:
        def work(connection: WriteConnection) -> list[int]:
            locked = deletion.lock(connection, group, until)
            self._removing(connection, locked)
            deletion.remove(connection, locked)
            return locked

        self._count(await self._write(work), sizes)

    async def _delete_large(self, key: int, at: datetime, until: datetime) -> None:
        """Delete a run in several transactions: its logs, its sub-runs, at last itself."""

        def mark(connection: WriteConnection) -> bool:
            locked = deletion.lock(connection, [key], until)
            if locked:
                deletion.mark_deleting(connection, key, at)
            return bool(locked)

        if not await self._write(mark):
            return
        sub_runs = await self._database.read(lambda connection: deletion.find_called(connection, key))
        if await self._delete_logs([*sub_runs, key]) and await self._delete_sub_runs(sub_runs):
            sizes = await self._database.read(lambda connection: deletion.size_of(connection, [key]))
            await self._delete_group([key], sizes, until)

    async def _delete_logs(self, keys: Sequence[int]) -> bool:
        while self._continues():
            cut = await self._write(lambda connection: deletion.delete_log_tail(connection, keys, self._bound))
            if not cut.chunks:
                return True
            self.deleted += DeletionResult(chunks=cut.chunks, log_bytes=cut.log_bytes)
        return False

    async def _delete_sub_runs(self, keys: Sequence[int]) -> bool:
        for begin in range(0, len(keys), _PAGE):
            page = keys[begin : begin + _PAGE]
            sizes = await self._database.read(partial(deletion.size_of, keys=page))
            for group in batch(sizes, self._bound):
                if not self._continues():
                    return False
                await self._write(partial(deletion.remove, keys=group))
                self._count(group, sizes)
        return True

    def _count(self, keys: Sequence[int], sizes: Mapping[int, Size]) -> None:
        for key in keys:
            size = sizes[key]
            self.deleted += DeletionResult(runs=size.runs, chunks=size.chunks, log_bytes=size.log_bytes)

    def _continues(self) -> bool:
        self.was_interrupted = self.was_interrupted or not self._may_continue()
        return not self.was_interrupted

    async def _write(self, work: Callable[[WriteConnection], T]) -> T:
        started_at = time.monotonic()
        done = await self._database.write(work, durable=False)
        await asyncio.sleep(min(max(time.monotonic() - started_at, _MIN_PAUSE), _MAX_PAUSE))
        return done


def is_large(size: Size, bound: BatchLimit) -> bool:
    """Whether a run is deleted in several transactions."""
    return size.rows + size.chunks > bound.rows or size.log_bytes > bound.log_bytes


def batch(sizes: Mapping[int, Size], bound: BatchLimit) -> Iterator[list[int]]:
    """Group runs by transaction, in their order; one that is too large is alone. Pure."""
    group: list[int] = []
    rows = log_bytes = 0
    for key, size in sizes.items():
        rows, log_bytes = rows + size.rows + size.chunks, log_bytes + size.log_bytes
        if group and (rows > bound.rows or log_bytes > bound.log_bytes):
            yield group
            group, rows, log_bytes = [], size.rows + size.chunks, size.log_bytes
        group.append(key)
    if group:
        yield group
