"""The loop of looks: each trigger is looked for by one server at a time, which has a lease of it.

What has changed is kept in memory until it rests, so that a look that finds nothing new writes nothing; the commit that
makes events of it also stores that it was handled. A server that takes over begins to wait again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import msgspec

from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.triggers import looks
from dagbook.db.repositories.triggers.looks import CLAIM_SECONDS, Claim, LookRow, Outcome
from dagbook.errors import AppError
from dagbook.runs.server_context import ServerIdentity
from dagbook.triggers.intake import trim_bodies
from dagbook.triggers.looks import options
from dagbook.triggers.looks.comparison import Listing, Pending, batches, compare
from dagbook.triggers.looks.files import LookError
from dagbook.triggers.looks.outcome import asked_of, make_events, make_outcome, settings_of, store_first
from dagbook.triggers.looks.watching import DirectoryWatch
from dagbook.triggers.service import Triggers

_log = logging.getLogger(__name__)
_POLL_SECONDS, _SHORTEST_SECONDS, _BACK_OFF_SECONDS = 5.0, 0.1, 1.0
_AT_A_TIME = 8
_FAILURES = 3  # looks that fail in a row before there is a problem
_WOKEN_SECONDS, _WOKEN_FACTOR = 0.5, 20  # between two looks at a directory that changes all the time, and of the last
_MOST_STORED = 500  # changes of one commit


class _Own(msgspec.Struct, kw_only=True):
    """What this server knows of a trigger that it looks for; times are those of its monotonic clock."""

    due: float
    claimed_at: float
    directory: str = ""  # that is watched
    looked_at: float = 0.0
    took: float = 0.0
    uncounted: int = 0
    forced: bool = False
    pending: Mapping[str, Pending] = {}
    failures: int = 0
    failing_since: datetime | None = None
    unreadable: int = 0

    def needs(self, now: float) -> bool:
        """Whether it is time to look, or to keep the lease of a directory that is watched."""
        return self.due <= now or (self.directory != "" and now - self.claimed_at >= CLAIM_SECONDS)


class Looks:
    """Looks for what triggers are told to look for."""

    def __init__(
        self,
        database: Database,
        known: Triggers,
        identity: ServerIdentity,
        now: Clock,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._known = known
        self._owner = identity.id
        self._host = identity.host
        self._now = now
        self._seconds = seconds
        self._own: dict[int, _Own] = {}
        self._active: dict[int, asyncio.Task[None]] = {}
        self._pause = 0.0
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._watch = DirectoryWatch(self._wake)
        self._loop = BackgroundLoop(
            "looks of triggers",
            self._round,
            every_seconds=lambda: self._pause,
            failure="it could not be looked for what is new; it is tried again",
            expected=(DatabaseUnavailable,),
            back_off_seconds=_BACK_OFF_SECONDS,
        )

    def start(self) -> None:
        """Start with a round; harmless when repeated."""
        self._loop.start(0.0)

    async def stop(self) -> None:
        """Stop after the active looks, and let other servers look; harmless without a start."""
        await self._loop.stop()
        await self._watch.stop()
        for task in self._active.values():
            task.cancel()
        await asyncio.gather(*self._active.values(), return_exceptions=True)
        left = {trigger: (own.uncounted, bool(own.pending)) for trigger, own in self._own.items()}
        self._own.clear()
        await self._known.looker.close()
        if left:
            try:
                await self._database.write(looks.release, self._owner, left, self._now())
            except DatabaseUnavailable as error:
                _log.warning("leases of triggers end by themselves: %s", error)

    async def run_once(self) -> None:
        """Make the looks that are due, and wait for them."""
        await self._round()
        await asyncio.gather(*self._active.values())

    def _wake(self, directory: str) -> None:
        """Look at a directory soon, but not again and again while it is written to."""
        for own in self._own.values():
            if own.directory == directory:
                soon = own.looked_at + max(_WOKEN_SECONDS, _WOKEN_FACTOR * own.took)
                own.due, own.forced = min(own.due, max(self._seconds(), soon)), True
        self._loop.wake()

    async def _round(self) -> None:
        now = self._seconds()
        due = [key for key, own in self._own.items() if own.needs(now) and key not in self._active]
        rows = await self._database.read(looks.find_due, self._owner, self._host, self._now(), due)
        for key in set(due) - {row.id for row in rows}:  # removed, or its DAG was
            del self._own[key]
        for row in rows:
            if row.id not in self._active and (row.id in due or row.id not in self._own):
                task = asyncio.create_task(self._serve(row), name=f"look of trigger {row.id}")
                self._active[row.id] = task
        await self._watch.watch({own.directory for own in self._own.values() if own.directory})
        waits = [own.due - self._seconds() for key, own in self._own.items() if key not in self._active]
        self._pause = max(min([*waits, _POLL_SECONDS]), _SHORTEST_SECONDS)

    async def _serve(self, row: LookRow) -> None:
        try:
            async with self._turns:
                own = await self._claim(row)
                if own is not None and own.due <= self._seconds():
                    own.looked_at, own.forced, own.uncounted = self._seconds(), False, own.uncounted + 1
                    own.due = own.looked_at + (row.every_seconds or options.EVERY_SECONDS)
                    await self._look(row, own)
                    own.took = self._seconds() - own.looked_at
        except DatabaseUnavailable as error:
            _log.warning("the trigger %s was not looked for: %s", row.name, error)
        except Exception:  # noqa: BLE001 - one trigger must not end the others
            _log.exception("the trigger %s was not looked for", row.name)
        finally:
            del self._active[row.id]
            self._go_on(row.id)

    def _go_on(self, trigger: int) -> None:
        """Let the loop wait for the next look, unless it looks around before anyway."""
        if (own := self._own.get(trigger)) is None:
            return
        now = self._seconds()
        if own.due <= now:
            own.due = now + _BACK_OFF_SECONDS
        if own.due < now + _POLL_SECONDS or not self._watch.has(own.directory):
            self._loop.wake()

    async def _claim(self, row: LookRow) -> _Own | None:
        """Take or keep the lease of a trigger; None if another server has it."""
        now, own = self._seconds(), self._own.get(row.id)
        if own is None or now - own.claimed_at >= CLAIM_SECONDS:
            claimed = Claim(
                owner=self._owner,
                looks=own.uncounted if own else 0,
                forced=own is not None and own.forced,
                is_look=own is None or own.due <= now,
            )
            if not await self._database.write(looks.claim, row, claimed, self._now()):
                self._own.pop(row.id, None)
                return None
            own = own or _Own(due=now, claimed_at=now)
            own.claimed_at, own.uncounted = now, 0
            self._own[row.id] = own
        return own

    async def _look(self, row: LookRow, own: _Own) -> None:
        known = await self._database.read(looks.find_known, row.id)
        try:
            secret = next(iter(self._known.open_secrets(row)), "")
            found = await self._known.looker.look(asked_of(row, row.run_as, secret, next(iter(known.values()), "")))
            if row.baseline_at is None:
                await self._begin(row, own, found)
            else:
                await self._compare(row, own, known, found)
        except (LookError, AppError) as error:  # of a secret that this server cannot open
            own.directory = ""
            await self._fail(row, own, error.message if isinstance(error, AppError) else str(error))
        else:
            own.failures = 0
            own.directory = options.place_of(settings_of(row)).directory if row.kind == options.FILES else ""
            if row.problem is not None:
                await self._set_problem(row, None, None)
            if found.unreadable > own.unreadable:
                _log.warning("the trigger %s leaves out %d names that are no text", row.name, found.unreadable)
            own.unreadable = found.unreadable

    async def _begin(self, row: LookRow, own: _Own, found: Listing) -> None:
        """Remember what is there at the first look, unless that is new, too."""

        def work(connection: WriteConnection) -> None:
            if looks.lock(connection, row, self._owner, own.uncounted) is not None:
                store_first(connection, row.id, row, found, self._now)

        await self._database.write(work)
        own.uncounted = 0
        if settings_of(row).existing:
            own.due = self._seconds() + _SHORTEST_SECONDS

    async def _compare(self, row: LookRow, own: _Own, known: Mapping[str, str], found: Listing) -> None:
        settle = options.settle_seconds(row.kind, settings_of(row))
        times = own.looked_at, self._seconds()
        changes = compare(known, found.entries, own.pending, times, settle)
        own.pending = changes.pending
        if (wait := changes.next_in(self._seconds(), settle)) is not None:
            own.due = min(own.due, self._seconds() + wait)
        if changes.gone:
            await self._store(row, own, lambda _look: Outcome(gone=changes.gone))
        if row.kind == options.HTTP and changes.settled and not await trim_bodies(self._database, row.id):
            raise LookError("the events that wait have too much data; let them start, or discard them")
        groups = list(batches(changes.settled)) if row.together else [[each] for each in changes.settled]
        for chunk in (groups[at : at + _MOST_STORED] for at in range(0, len(groups), _MOST_STORED)):
            made = await asyncio.to_thread(make_events, row, chunk, self._now())
            if not await self._store(row, own, partial(make_outcome, made)):
                return

    async def _store(self, row: LookRow, own: _Own, make: Callable[[int], Outcome]) -> bool:
        """Store what has changed, unless another server or setting counts by now: then it is found again."""

        def work(connection: WriteConnection) -> Outcome | None:
            look = looks.lock(connection, row, self._owner, own.uncounted)
            if look is None:
                return None
            outcome = make(look)
            looks.store(connection, row.id, outcome, look, self._now())
            return outcome

        stored = await self._database.write(work)
        if stored is None:
            self._own.pop(row.id, None)
            return False
        own.uncounted = 0
        for event in stored.events:
            self._known.metrics.count_events(event.state)
        return True

    async def _fail(self, row: LookRow, own: _Own, reason: str) -> None:
        """Count a look that failed; after some there is a problem, until one succeeds."""
        own.failures += 1
        own.failing_since = own.failing_since if own.failures > 1 else self._now()
        _log.info("the trigger %s could not look: %s", row.name, reason)
        if own.failures >= _FAILURES and row.problem != reason:
            await self._set_problem(row, reason, row.problem_since or own.failing_since)

    async def _set_problem(self, row: LookRow, problem: str | None, since: datetime | None) -> None:
        await self._database.write(looks.set_problem, row.id, self._owner, problem, since)
