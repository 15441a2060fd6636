"""One client of the live feed: what it wants, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dagbook.api.live import sse
from dagbook.db.repositories.changes import ChangeRow, FeedCursor

MAX_BYTES = 256 * 1024  # that wait for one client; who falls further behind resumes by number


class FeedFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to be told of: all, what has to do with a DAG, or with a run and those below it."""

    dag: str | None = None
    run: tuple[str, str] | None = None

    def matches(self, told: ChangeRow) -> bool:
        """Whether a change is wanted."""
        if self.run is not None:
            root = (told.root_name or told.dag_name, told.root_run_id or told.run_id)
            if self.run not in (root, (told.dag_name, told.run_id)):
                return False
        return self.dag is None or self.dag in _names(told)


def _names(told: ChangeRow) -> set[str | None]:
    data = told.data or {}
    return {told.dag_name, told.root_name, data.get("file_name"), data.get("new_file_name")}


class Subscription:
    """A client between two reads of the feed.

    It has seen everything up to ``begin``; what lies between that and ``until`` it reads itself, and what comes after
    is offered. ``missed`` says that something before ``begin`` is gone.
    """

    def __init__(self, wanted: FeedFilter, *, begin: FeedCursor, until: FeedCursor, missed: bool) -> None:
        self.wanted = wanted
        self.begin, self.until = begin, until
        self.missed = missed
        self.seen = max(begin, until)
        self.ended = False
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._ends: dict[tuple[Any, ...], int] = {}

    def push(self, told: ChangeRow, frame: bytes) -> None:
        """Give it a change, in order; one that it has seen is passed over."""
        if told.cursor <= self.seen:
            return
        self.seen = told.cursor
        if self.wanted.matches(told):
            self._put(frame)

    def push_output(self, row: Mapping[str, Any], frame: bytes) -> None:
        """Tell it how far output can be read, if that is news."""
        key = tuple(row[name] for name in ("dag_name", "run_id", "attempt", "name", "stream"))
        if self._ends.get(key) != row["bytes"]:
            self._ends[key] = row["bytes"]
            self._put(frame)

    def prune_output(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Forget the output of steps that do not run any more."""
        if len(self._ends) > len(rows):
            running = {tuple(row[name] for name in ("dag_name", "run_id", "attempt", "name", "stream")) for row in rows}
            self._ends = {key: size for key, size in self._ends.items() if key in running}

    def end(self) -> None:
        """Send nothing more, not even what waits."""
        self.ended = True
        self._frames.clear()
        self._size = 0
        self._changed.set()

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._size

    async def take(self, seconds: float) -> bytes:
        """Return what waits, or nothing after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return b""
        if not self.ended:
            self._changed.clear()
        found = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        return found

    def _put(self, frame: bytes) -> None:
        if self.ended or not frame:
            return
        if self._size + len(frame) > MAX_BYTES:
            self.end()
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._changed.set()


def backlog(subscription: Subscription, changes: Sequence[ChangeRow]) -> bytes:
    """Make what a client missed that resumes: of these changes those that it wants and will not be offered."""
    wanted = (told for told in changes if told.cursor <= subscription.until and subscription.wanted.matches(told))
    return b"".join(map(sse.change_frame, wanted))
