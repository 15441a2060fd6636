"""The live feed: one reader per process for all its clients, woken by commits, with a fallback poll.

It is woken by a commit of this process, by another server's notification, or by time. A wake-up carries no data, so
no change is lost with a lost one. The reader then reads the new changes once and distributes them to all clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from itertools import chain
from time import monotonic

from dagbook.api.live import sse
from dagbook.api.live.subscription import FeedFilter, RunKey, Subscription, backlog, old_name_of, subject_of
from dagbook.db.database import OUTPUT, VISIBLE, Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import changes
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.changes import ChangeRow, FeedCursor
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import GrowingStream
from dagbook.db.repositories.runs import runs
from dagbook.errors import UnavailableError

_log = logging.getLogger(__name__)
_BATCH = 500
_CHANNEL = "dagbook_changes"
_PACE_SECONDS = 0.02  # between two reads, so that commits in between are read together
_POLL_SECONDS = 2.0  # between two reads without a wake-up
_OUTPUT_SECONDS = 0.25  # between two reads of the output of followed runs
_REMOTE_OUTPUT_SECONDS = 1.0  # the same without a wake-up: other servers do not notify about output
_QUIET_SECONDS = 0.02  # first wait for a transaction that started before a visible change; doubled each time
_OUTAGE_SECONDS = 1.0
_RETRY_AFTER = {"Retry-After": "10"}


class Feed:
    """Distributor of changes to at most ``limit`` clients.

    Its reader is no ``BackgroundLoop``: without clients it sleeps without a limit, a pause that has passed means
    something else than a wake-up (read output of other servers), and a stop cancels it rather than wait for a read.
    """

    def __init__(self, database: Database, limit: int, shared_queues: Collection[str] = ()) -> None:
        """``shared_queues`` are the configured ones, whose changes all clients see."""
        self._database = database
        self._limit = limit
        self._shared_queues = frozenset(shared_queues)
        self._wakeups = database.notifications
        self._subscriptions: set[Subscription] = set()
        self._arriving = 0
        self._head = FeedCursor()
        self._retry_seconds: float | None = None
        self._output, self._next_output = False, 0.0
        self._woken = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the reader; starting twice is harmless."""
        if self._task is None:
            self._closed = False
            self._database.on_commit(self._committed)
            if self._wakeups:
                self._wakeups.listen(_CHANNEL, self.wake)
            self._task = asyncio.create_task(self._run(), name="feed")

    def close(self) -> None:
        """End all streams now, and refuse new clients."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.end()

    async def stop(self) -> None:
        """Close and stop the reader; stopping without a start is harmless."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            if self._wakeups:
                await self._wakeups.unlisten(_CHANNEL)

    def wake(self) -> None:
        """Read new changes now."""
        self._woken.set()

    def _committed(self, kinds: set[str]) -> None:
        if VISIBLE in kinds and self._wakeups:
            self._wakeups.notify(_CHANNEL)
        if self._subscriptions and (VISIBLE in kinds or OUTPUT in kinds):  # the first client wakes the reader itself
            self._output = self._output or OUTPUT in kinds
            self._woken.set()

    # -- clients -----------------------------------------------------------------------------------------------------

    @property
    def clients(self) -> int:
        """Number of subscribed clients."""
        return len(self._subscriptions)

    async def subscribe(self, filter: FeedFilter, after: FeedCursor | None) -> Subscription:  # noqa: A002
        """Add a client that has seen everything up to ``after``, or wants changes from now on.

        Raises UnavailableError when there are too many clients or the server stops. The caller must ``unsubscribe``.
        """
        if self._closed:
            raise UnavailableError("this server is stopping; connect again", _RETRY_AFTER)
        if len(self._subscriptions) + self._arriving >= self._limit:
            message = f"this server has reached its limit of {self._limit} live feeds (event_streams); try again later"
            raise UnavailableError(message, _RETRY_AFTER)
        self._arriving += 1
        try:
            extent = await self._database.read_inline(changes.get_range)
        finally:
            self._arriving -= 1
        last = extent.last or FeedCursor()
        if not self._subscriptions:  # without clients nothing was read for a while
            self._head = max(self._head, last)
        known = after is not None and extent.covers(after)
        begin = after if after is not None and known else last
        subscription = Subscription(filter, begin=begin, until=self._head, missed=after is not None and not known)
        self._subscriptions.add(subscription)
        self._output = True
        self.wake()
        return subscription

    async def find_position(self) -> str:
        """Return the id of the last change; a page whose data are read later follows the changes from there."""
        extent = await self._database.read_inline(changes.get_range)
        return str(extent.last or FeedCursor())

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a client; harmless when repeated."""
        subscription.end()
        self._subscriptions.discard(subscription)

    async def read_backlog(self, subscription: Subscription) -> AsyncIterator[bytes]:
        """Read the changes between the client's last event and its subscription."""
        cursor = subscription.begin
        while cursor < subscription.until:
            batch = await self._database.read(partial(_read, after=cursor))
            if not batch.changes:
                return
            visible = await self._find_visible(batch.changes, {subscription.filter.visibility})
            yield backlog(subscription, batch.changes, visible[subscription.filter.visibility])
            cursor = batch.changes[-1].cursor

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._wait_timeout()):
                    await self._woken.wait()
            except TimeoutError:
                self._output = self._output or monotonic() >= self._next_output
            self._woken.clear()
            await self._read_guarded()
            await asyncio.sleep(_PACE_SECONDS)

    def _wait_timeout(self) -> float | None:
        if not self._subscriptions:
            return None
        if self._retry_seconds is not None:
            return self._retry_seconds
        if any(subscription.filter.outputs for subscription in self._subscriptions):
            return max(self._next_output - monotonic(), 0.0) if self._output else _REMOTE_OUTPUT_SECONDS
        return _POLL_SECONDS

    async def _read_guarded(self) -> None:
        try:
            await self.run_once()
        except DatabaseUnavailable as error:
            _log.warning("the live feed waits for the database: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
            self.wake()
        except Exception:  # noqa: BLE001 - the feed must go on after any failure
            _log.exception("reading the live feed failed")
            await asyncio.sleep(_OUTAGE_SECONDS)

    async def run_once(self) -> None:
        """Read new changes and distribute them; nothing is read while there are no clients."""
        while self._subscriptions and await self._read_changes():  # noqa: ASYNC110 - not a wait for a condition
            await asyncio.sleep(_PACE_SECONDS)  # lets the clients empty their buffers
        if self._output and monotonic() >= self._next_output:
            self._output, self._next_output = False, monotonic() + _OUTPUT_SECONDS
            await self._read_output()

    async def _read_changes(self) -> bool:
        """Read and distribute one batch; returns whether there may be more."""
        batch = await self._database.read_inline(partial(_read, after=self._head))
        visible: dict[Visibility, Collection[str] | None] = {EVERYTHING: None}
        # Clients may come while this waits, and these changes are pushed to them, too.
        while unknown := {subscription.filter.visibility for subscription in self._subscriptions} - visible.keys():
            visible |= await self._find_visible(batch.changes, unknown)
        for change in batch.changes:
            frame = sse.change_frame(change)
            for subscription in self._subscriptions:
                subscription.push(change, frame, visible[subscription.filter.visibility])
        if batch.changes:
            self._head = max(self._head, batch.changes[-1].cursor)
        retry_seconds = min((self._retry_seconds or _QUIET_SECONDS / 2) * 2, _POLL_SECONDS)
        self._retry_seconds = retry_seconds if batch.waiting else None
        return len(batch.changes) == _BATCH

    async def _find_visible(
        self, found: Sequence[ChangeRow], visibilities: Collection[Visibility]
    ) -> dict[Visibility, Collection[str] | None]:
        """Return, by what clients see, the visible ones of the names that changes have; None for all."""
        names = {*map(subject_of, found), *map(old_name_of, found)}
        visible: dict[Visibility, Collection[str] | None] = {}
        for visibility in visibilities:
            visible[visibility] = None
            if visibility:
                seen = await self._database.read_inline(
                    partial(dag_access.find_visible, names=names, visibility=visibility)
                )
                visible[visibility] = seen | (names & self._shared_queues)
        return visible

    async def _read_output(self) -> None:
        frames: dict[RunKey, list[tuple[GrowingStream, bytes]]] = {}
        for run in {run for subscription in self._subscriptions for run in subscription.filter.outputs}:
            rows = await self._database.read_inline(partial(_read_output, run=run))
            frames[run] = [(row, sse.output_frame(row, run)) for row in rows]
        for subscription in self._subscriptions:
            wanted = [frames.get(run, []) for run in subscription.filter.outputs]
            subscription.push_output(list(chain.from_iterable(wanted)))


def _read(connection: ReadConnection, after: FeedCursor) -> changes.Batch:
    return changes.find_after(connection, after, _BATCH)


def _read_output(connection: ReadConnection, run: RunKey) -> list[GrowingStream]:
    row = runs.get(connection, *run)
    return list(logs.find_growing(connection, row.id)) if row else []
