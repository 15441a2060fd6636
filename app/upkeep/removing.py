"""Removes runs in transactions of a bounded size, so that nothing else waits for long.

After each one it rests for as long as that took: others have at least half of the writer. What is not kept safe
when the machine fails is removed again later, so no commit waits for the disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from app.db.database import Database, WriteConnection
from app.db.repositories import removal
from app.db.repositories.removal import Bound, Size
from app.db.storage import count_free_pages, give_back

T = TypeVar("T")
_PAGE = 100
_SHORTEST_REST, _LONGEST_REST = 0.001, 0.5
_PAGES = 256  # 1 MiB of a SQLite file, given back in one transaction
_RESERVE_PAGES = 2_048  # kept for new rows
_DEFINITIONS = 200


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed: root runs with those they called, bytes of logs, definitions, pages of a SQLite file."""

    runs: int = 0
    log_bytes: int = 0
    chunks: int = 0
    definitions: int = 0
    pages: int = 0

    def __add__(self, other: Gone) -> Gone:
        return Gone(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Remover:
    """Removes what it is told to, until ``may_go_on`` says no; what is left is for the next one."""

    def __init__(self, database: Database, may_go_on: Callable[[], bool], bound: Bound | None = None) -> None:
        self._database = database
        self._may_go_on = may_go_on
        self._bound = bound or Bound()
        self.gone = Gone()
        self.was_cut = False

    async def remove(self, keys: Sequence[int], at: datetime, until: datetime) -> None:
        """Remove those of the root runs that ended before ``until`` and may still go."""
        for begin in range(0, len(keys), _PAGE):
            page = keys[begin : begin + _PAGE]
            sizes = await self._database.read(partial(removal.measure, keys=page))
            for group in pack(sizes, self._bound):
                if not self._goes_on():
                    return
                if len(group) == 1 and is_large(sizes[group[0]], self._bound):
                    await self._remove_large(group[0], at, until)
                else:
                    await self._remove_group(group, sizes, until)

    async def finish(self, at: datetime) -> None:
        """Go on with runs of which a part is gone already."""
        for key in await self._database.read(removal.find_marked):
            if not self._goes_on():
                return
            await self._remove_large(key, at, at)

    async def remove_unused_definitions(self) -> None:
        """Remove the texts that neither a run nor a DAG nor a revision names any more."""
        after = ""
        while self._goes_on():
            hashes = await self._database.read(partial(removal.find_unused, after=after, most=_DEFINITIONS))
            if not hashes:
                return
            count = await self._write(partial(removal.remove_unused, hashes=hashes))
            self.gone += Gone(definitions=count)
            after = hashes[-1]

    async def give_pages_back(self) -> None:
        """Let a SQLite file become smaller, step by step, but for a reserve."""
        while self._goes_on():
            free = await self._database.glance(count_free_pages)
            pages = min(free - _RESERVE_PAGES, _PAGES)
            if pages <= 0:
                return
            await self._write(partial(give_back, pages=pages))
            self.gone += Gone(pages=pages)

    async def _remove_group(self, group: Sequence[int], sizes: Mapping[int, Size], until: datetime) -> None:
        def work(connection: WriteConnection) -> list[int]:
            locked = removal.lock(connection, group, until)
            removal.remove(connection, locked)
            return locked

        self._count(await self._write(work), sizes)

    async def _remove_large(self, key: int, at: datetime, until: datetime) -> None:
        """Remove a run piece by piece: its logs, the runs that it called, last itself."""

        def begin(connection: WriteConnection) -> bool:
            locked = removal.lock(connection, [key], until)
            if locked:
                removal.mark(connection, key, at)
            return bool(locked)

        if not await self._write(begin):
            return
        called = await self._database.read(lambda connection: removal.find_called(connection, key))
        if await self._cut_logs([*called, key]) and await self._remove_called(called):
            sizes = await self._database.read(lambda connection: removal.measure(connection, [key]))
            await self._remove_group([key], sizes, until)

    async def _cut_logs(self, keys: Sequence[int]) -> bool:
        while self._goes_on():
            cut = await self._write(lambda connection: removal.cut_logs(connection, keys, self._bound))
            if not cut.chunks:
                return True
            self.gone += Gone(chunks=cut.chunks, log_bytes=cut.log_bytes)
        return False

    async def _remove_called(self, keys: Sequence[int]) -> bool:
        for begin in range(0, len(keys), _PAGE):
            page = keys[begin : begin + _PAGE]
            sizes = await self._database.read(partial(removal.measure, keys=page))
            for group in pack(sizes, self._bound):
                if not self._goes_on():
                    return False
                await self._write(partial(removal.remove, keys=group))
                self._count(group, sizes)
        return True

    def _count(self, keys: Sequence[int], sizes: Mapping[int, Size]) -> None:
        for key in keys:
            size = sizes[key]
            self.gone += Gone(runs=size.runs, chunks=size.chunks, log_bytes=size.log_bytes)

    def _goes_on(self) -> bool:
        self.was_cut = self.was_cut or not self._may_go_on()
        return not self.was_cut

    async def _write(self, work: Callable[[WriteConnection], T]) -> T:
        begun = time.monotonic()
        done = await self._database.write(work, durable=False)
        await asyncio.sleep(min(max(time.monotonic() - begun, _SHORTEST_REST), _LONGEST_REST))
        return done


def is_large(size: Size, bound: Bound) -> bool:
    """Whether a run has to go in pieces."""
    return size.rows + size.chunks > bound.rows or size.log_bytes > bound.log_bytes


def pack(sizes: Mapping[int, Size], bound: Bound) -> Iterator[list[int]]:
    """Put runs together that go in one transaction, in their order; one that is too large comes alone. Pure."""
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
