"""The live feed: one reader in a process for all its clients, woken by commits and looking now and then.

What wakes it says nothing, so that nothing is lost when nobody does: a commit of this process, another server's
notification, or time. Then it reads once what is new and hands it to everybody who wants it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from time import monotonic

from dagbook.api.live import sse
from dagbook.api.live.subscription import FeedFilter, Subscription, backlog
from dagbook.db.database import OUTPUT, VISIBLE, Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import changes
from dagbook.db.repositories.changes import FeedCursor
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.rows import Row
from dagbook.db.repositories.runs import runs
from dagbook.errors import UnavailableError

_log = logging.getLogger(__name__)
_BATCH = 500
_CHANNEL = "dagbook_changes"
_PACE_SECONDS = 0.02  # between two reads: what is committed meanwhile goes together
_POLL_SECONDS = 2.0  # between two looks that nobody asked for
_OUTPUT_SECONDS = 0.25  # between two looks at the output of runs that are followed
_FAR_OUTPUT_SECONDS = 1.0  # the same when nobody asked: other servers do not tell of output
_QUIET_SECONDS = 0.02  # a change waits for a transaction that began before it; twice as long each time
_OUTAGE_SECONDS = 1.0
_RETRY_AFTER = {"Retry-After": "10"}


class Feed:
    """Tells at most ``limit`` clients of what changes."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._wakeups = database.notifications
        self._subscriptions: set[Subscription] = set()
        self._arriving = 0
        self._head = FeedCursor()
        self._settle: float | None = None
        self._output, self._next_output = False, 0.0
        self._woken = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read; starting twice is harmless."""
        if self._task is None:
            self._closed = False
            self._database.on_commit(self._committed)
            if self._wakeups:
                self._wakeups.listen(_CHANNEL, self.wake)
            self._task = asyncio.create_task(self._run(), name="feed")

    def close(self) -> None:
        """End all streams now, and begin no other."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.end()

    async def stop(self) -> None:
        """Close, and end; stopping without a start is harmless."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            if self._wakeups:
                await self._wakeups.unlisten(_CHANNEL)

    def wake(self) -> None:
        """Look now for what is new."""
        self._woken.set()

    def _committed(self, told: set[str]) -> None:
        if VISIBLE in told and self._wakeups:
            self._wakeups.notify(_CHANNEL)
        if OUTPUT in told:
            self._output = True
        self._woken.set()

    # -- clients -----------------------------------------------------------------------------------------------------

    @property
    def clients(self) -> int:
        """How many streams there are."""
        return len(self._subscriptions)

    async def subscribe(self, wanted: FeedFilter, after: FeedCursor | None) -> Subscription:
        """Take a client up, who has seen everything up to ``after``, or wants to see what comes now.

        Raises UnavailableError when there are too many, or the server stops. Whoever gets one has to ``leave``.
        """
        if self._closed:
            raise UnavailableError("this server stops; connect again", _RETRY_AFTER)
        if len(self._subscriptions) + self._arriving >= self._limit:
            told = f"this server serves {self._limit} live feeds, which is its limit (event_streams); try again later"
            raise UnavailableError(told, _RETRY_AFTER)
        self._arriving += 1
        try:
            extent = await self._database.read_inline(changes.get_range)
        finally:
            self._arriving -= 1
        last = extent.last or FeedCursor()
        if not self._subscriptions:  # nobody has read for a while
            self._head = max(self._head, last)
        known = after is not None and extent.covers(after)
        begin = after if after is not None and known else last
        subscription = Subscription(wanted, begin=begin, until=self._head, missed=after is not None and not known)
        self._subscriptions.add(subscription)
        self._output = True
        self.wake()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Let a client go; harmless when repeated."""
        subscription.end()
        self._subscriptions.discard(subscription)

    async def read_backlog(self, subscription: Subscription) -> AsyncIterator[bytes]:
        """Read what a client missed before it was taken up."""
        place = subscription.begin
        while place < subscription.until:
            begin = place
            batch = await self._database.read(lambda connection, begin=begin: _read(connection, begin))  # type: ignore[misc]
            if not batch.changes:
                return
            yield backlog(subscription, batch.changes)
            place = batch.changes[-1].cursor

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
        if self._settle is not None:
            return self._settle
        if any(subscription.wanted.run for subscription in self._subscriptions):
            return max(self._next_output - monotonic(), 0.0) if self._output else _FAR_OUTPUT_SECONDS
        return _POLL_SECONDS

    async def _read_guarded(self) -> None:
        try:
            await self.run_once()
        except DatabaseUnavailable as error:
            _log.warning("the live feed waits: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
            self.wake()
        except Exception:  # noqa: BLE001 - the others are to be told on, whatever one round met
            _log.exception("a round of the live feed failed")
            await asyncio.sleep(_OUTAGE_SECONDS)

    async def run_once(self) -> None:
        """Read what is new and hand it to those who want it; nothing is read while there is nobody."""
        while self._subscriptions and await self._read_changes():  # noqa: ASYNC110 - it waits for nothing to come true
            await asyncio.sleep(_PACE_SECONDS)  # for the clients to take what waits for them
        if self._output and monotonic() >= self._next_output:
            self._output, self._next_output = False, monotonic() + _OUTPUT_SECONDS
            await self._read_output()

    async def _read_changes(self) -> bool:
        """Read some changes; tells whether there may be more."""
        begin = self._head
        batch = await self._database.read_inline(lambda connection: _read(connection, begin))
        for told in batch.changes:
            frame = sse.change_frame(told)
            for subscription in self._subscriptions:
                subscription.push(told, frame)
        if batch.changes:
            self._head = max(self._head, batch.changes[-1].cursor)
        settle = min((self._settle or _QUIET_SECONDS / 2) * 2, _POLL_SECONDS)
        self._settle = settle if batch.waiting else None
        return len(batch.changes) == _BATCH

    async def _read_output(self) -> None:
        for run in {subscription.wanted.run for subscription in self._subscriptions if subscription.wanted.run}:
            rows = await self._database.read_inline(lambda connection, run=run: _read_output(connection, *run))  # type: ignore[misc]
            told = [(row, sse.output_frame(row, run)) for row in rows]
            for subscription in self._subscriptions:
                if subscription.wanted.run == run:
                    subscription.prune_output(rows)
                    for row, frame in told:
                        subscription.push_output(row, frame)


def _read(connection: ReadConnection, after: FeedCursor) -> changes.Batch:
    return changes.find_after(connection, after, _BATCH)


def _read_output(connection: ReadConnection, name: str, run_id: str) -> list[Row]:
    run = runs.get(connection, name, run_id)
    return list(logs.find_growing(connection, run["id"])) if run else []
