"""Lets queued runs go as soon as there is room: woken by whoever comes, goes or ends; it does not poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from app.db.database import Database, ReadConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import queue
from app.db.repositories.reading import Row
from app.engine.admission import Admission, Entry, Queues, admit
from app.runs.recorder import RunRefusedError
from app.runs.signal import EVERY, QueueSignal

_log = logging.getLogger(__name__)
_FALLBACK_SECONDS = 30.0  # runs of other servers end without a word, and a configuration may have changed
_OUTAGE_SECONDS = 1.0
_MOST = 64  # entries of one queue that are looked at in one go


class Drivers(Protocol):
    """Those who drive runs, seen from here."""

    async def release(self, key: int) -> None:
        """Take a run out of its queue and drive it; raises RunRefusedError when it is not its turn any more."""

    async def give_up(self, key: int, reason: str) -> None:
        """End a run that waits and cannot be begun."""


class Dispatcher:
    """Serves the queues of the database; any number of servers may do so."""

    def __init__(self, database: Database, drivers: Drivers, signal: QueueSignal, queues: Queues) -> None:
        self._database = database
        self._drivers = drivers
        self._signal = signal
        self._queues = queues
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve, unless queues are switched off; starting twice is harmless."""
        if self._task is None and self._queues.enabled:
            self._stopping = False
            self._signal.tell()
            self._task = asyncio.create_task(self._run(), name="dispatcher")

    async def stop(self) -> None:
        """Let nobody go any more; stopping without a start is harmless."""
        self._stopping = True
        self._signal.tell()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            names = await self._signal.wait(_FALLBACK_SECONDS) or {EVERY}
            if not self._stopping:
                await self._serve(names)

    async def _serve(self, names: set[str]) -> None:
        try:
            await self.run_once(names)
        except DatabaseUnavailable as error:
            _log.warning("queues are not served for a moment: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
            self._signal.tell()
        except Exception:  # noqa: BLE001 - the queues must be served on, whatever one round met
            _log.exception("a round of the dispatcher failed")

    async def run_once(self, names: set[str]) -> None:
        """Let everybody go who may in these queues; in all of them when EVERY is among them."""
        if EVERY in names:
            names = set(await self._database.glance(queue.find_queues))
        for name in sorted(names):
            await self._serve_queue(name)

    async def _serve_queue(self, name: str) -> None:
        rows, admission = await self._database.glance(lambda connection: self._look(connection, name))
        if not admission.released:
            await self._note_reason(rows, admission)
        while admission.released and not self._stopping:
            gone = await asyncio.gather(*(self._release(key) for key in admission.released))
            if not all(gone):
                return  # another server serves the queue, too, and looks again itself
            _, admission = await self._database.glance(lambda connection: self._look(connection, name))

    def _look(self, connection: ReadConnection, name: str) -> tuple[Sequence[Row], Admission]:
        rows = queue.find_next(connection, name, _MOST)
        if not rows:  # as after most ends of runs
            return rows, Admission((), {})
        entries = [Entry(row["run_id"], row["queue"], row["max_active_runs"]) for row in rows]
        return rows, admit(entries, queue.count_live(connection, [name]), self._queues)

    async def _note_reason(self, rows: Sequence[Row], admission: Admission) -> None:
        """Note why the first one waits; those behind it wait for it."""
        if not rows:
            return
        first = rows[0]
        reason = admission.waiting[first["run_id"]]
        if first["reason"] != reason:
            await self._database.write(lambda connection: queue.note_reason(connection, first["id"], reason))

    async def _release(self, key: int) -> bool:
        """Let a run go; False when it is not its turn any more."""
        try:
            await self._drivers.release(key)
        except RunRefusedError:
            return False
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one run that cannot be begun must not hold up its queue
            _log.exception("queued run %s cannot be begun", key)
            await self._drivers.give_up(key, f"the run could not be begun: {error}")
        return True
