"""One client of the live feed: its filter and its send buffer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence

import msgspec
from msgspec import UNSET

from dagbook.api.live import sse
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.changes import QUEUE, ChangeRow, FeedCursor
from dagbook.db.repositories.logs.logs import GrowingStream

MAX_BYTES = 256 * 1024  # buffered for one client; one that falls further behind is closed and resumes by event id
RunKey = tuple[str, str]  # DAG name and run id
_Key = tuple[str, str, int, str, int]  # DAG, run, attempt, step and stream


class FeedFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filter of changes: all that are visible, those of a DAG, or those of a run and its sub-runs.

    ``outputs`` are the runs whose growing output is sent, too.
    """

    dag: str | None = None
    run: RunKey | None = None
    outputs: frozenset[RunKey] = frozenset()
    visibility: Visibility = EVERYTHING

    def matches(self, change: ChangeRow, visible: Collection[str] | None) -> bool:
        """Whether a change is sent; ``visible`` has the DAG names and queues that are visible, None for all."""
        is_pause = change.kind == QUEUE and not change.data.queue  # of everything, which everyone sees
        if visible is not None and not is_pause and subject_of(change) not in visible:
            return False
        if self.run is not None:
            root = (change.root_name or change.dag_name, change.root_run_id or change.run_id)
            if self.run not in (root, (change.dag_name, change.run_id)):
                return False
        if self.dag is None:
            return True
        return self.dag in (change.dag_name, change.root_name, change.data.file_name, change.data.new_file_name)


def subject_of(change: ChangeRow) -> str:
    """Return the DAG name by which a change is visible, for a change of a queue that of the queue."""
    return change.root_name or change.dag_name or change.data.queue


def old_name_of(change: ChangeRow) -> str:
    """Return the DAG name that a renamed DAG had; empty for other changes."""
    data = change.data
    # Changes of versions before lack it: the file's name is the DAG's, unless the text has another one.
    if data.new_file_name is UNSET:
        return ""
    return data.file_name if data.old_dag_name is UNSET else data.old_dag_name


def narrowed(change: ChangeRow, visible: Collection[str] | None) -> ChangeRow:
    """Return a change as it is sent: without the old file name of a renamed DAG, if the client could not see that."""
    old_name = old_name_of(change)
    if visible is None or not old_name or old_name in visible:
        return change
    return msgspec.structs.replace(change, data=msgspec.structs.replace(change.data, file_name=""))


class Subscription:
    """Send buffer of one client.

    The client has seen everything up to ``begin``; changes between that and ``until`` are read for it with
    ``Feed.read_backlog``, and later ones are pushed. ``missed`` says that changes before ``begin`` were deleted.
    """

    def __init__(
        self,
        filter: FeedFilter,  # noqa: A002 - the builtin is not used here
        *,
        begin: FeedCursor,
        until: FeedCursor,
        missed: bool,
    ) -> None:
        self.filter = filter
        self.begin, self.until = begin, until
        self.missed = missed
        self.seen = max(begin, until)
        self.ended = False
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._output_sizes: dict[_Key, int | None] = {}

    def push(self, change: ChangeRow, frame: bytes, visible: Collection[str] | None) -> None:
        """Buffer a change, in order; one that the client has seen is skipped."""
        if change.cursor <= self.seen:
            return
        self.seen = change.cursor
        sent = narrowed(change, visible)
        if self.filter.matches(sent, visible):
            self._put(frame if sent is change else sse.change_frame(sent))

    def push_output(self, outputs: Sequence[tuple[GrowingStream, bytes]]) -> None:
        """Buffer the lengths of the output of running steps that have changed; those of other steps are forgotten."""
        before, self._output_sizes = self._output_sizes, {_key(row): row.bytes for row, _ in outputs}
        for row, frame in outputs:
            if before.get(_key(row)) != row.bytes:
                self._put(frame)

    def end(self) -> None:
        """Discard the buffer and accept no more."""
        self.ended = True
        self._frames.clear()
        self._size = 0
        self._changed.set()

    @property
    def size(self) -> int:
        """Number of buffered bytes."""
        return self._size

    async def take(self, seconds: float) -> bytes:
        """Return all buffered frames; empty when there are none after so many seconds."""
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


def _key(row: GrowingStream) -> _Key:
    return (row.dag_name, row.run_id, row.attempt, row.name, row.stream)


def backlog(subscription: Subscription, changes: Sequence[ChangeRow], visible: Collection[str] | None) -> bytes:
    """Make the frames of a resuming client: those of these changes that match and will not be pushed."""
    known = (narrowed(row, visible) for row in changes if row.cursor <= subscription.until)
    missed = (row for row in known if subscription.filter.matches(row, visible))
    return b"".join(map(sse.change_frame, missed))
