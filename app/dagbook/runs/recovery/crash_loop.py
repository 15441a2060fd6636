"""Crash-loop protection: a run that crashes each process that takes it over is ended, and harms no other run.

Each take-over is counted in the row of the attempt, in the commit that changes its owner and before anything of the run
is read. The count is reset when the run has recorded progress, or waits for processes and timers alone. So a count that
is not 0 belongs to a run whose last owners crashed while they loaded or evaluated it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence

import msgspec

from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.runs.recovery.ownership import Loss
from dagbook.runs.runner.runner import Runner

_log = logging.getLogger(__name__)
MAX_CRASHES = 3  # the next take-over is not made: the run is failed
# The third take-over waits until this process has lived for a while, in which the run can be looked at and stopped. A
# process that is killed at random every few seconds never gets there, so that it fails no healthy run.
_CAREFUL_CRASHES, _CAREFUL_SECONDS = 2, 10.0
# How long a suspected run keeps the others waiting: longer evaluations go on, and are still counted if they kill.
_EXCLUSIVE_SECONDS = 15.0
_POLL_SECONDS = 0.02


class Orphan(msgspec.Struct, frozen=True):
    """An attempt whose owner is lost, and how many owners in a row its take-over crashed, as far as is known."""

    attempt: OpenAttempt
    loss: Loss
    crashes: int = 0


class Choice(msgspec.Struct, frozen=True):
    """What becomes of orphans in this round: ``next`` are taken over, ``ended`` by their rows, ``waiting`` later."""

    next: Sequence[Orphan] = ()
    ended: Sequence[Orphan] = ()
    waiting: Sequence[Orphan] = ()


def crashes_of(attempt: OpenAttempt, me: str) -> int:
    """Return how many owners in a row the take-over of an attempt crashed; 0 if the last one is known to have lived."""
    return 0 if attempt.owner == me or attempt.stopped_at is not None else attempt.takeovers


def choose(orphans: Sequence[Orphan], *, unproven: int, seconds: float, stopping: Collection[int] = ()) -> Choice:
    """Choose the orphans to take over now: unsuspected ones at once, suspected ones after them and one at a time.

    ``unproven`` take-overs of this process are not known to be harmless yet; it has taken runs over for ``seconds``.
    Suspected runs among ``stopping`` are ended instead: even a run that is asked to stop is loaded and evaluated.
    """
    unsuspected = [orphan for orphan in orphans if not orphan.crashes]
    ended = [orphan for orphan in orphans if orphan.crashes and _is_to_end(orphan, stopping)]
    suspected = [orphan for orphan in orphans if orphan.crashes and not _is_to_end(orphan, stopping)]
    suspected.sort(key=lambda orphan: (orphan.crashes, orphan.attempt.run))
    is_free = bool(suspected) and not unsuspected and not unproven
    if is_free and (suspected[0].crashes < _CAREFUL_CRASHES or seconds >= _CAREFUL_SECONDS):
        return Choice(next=suspected[:1], ended=ended, waiting=suspected[1:])
    return Choice(next=unsuspected, ended=ended, waiting=suspected)


def _is_to_end(orphan: Orphan, stopping: Collection[int]) -> bool:
    return orphan.crashes >= MAX_CRASHES or orphan.attempt.run in stopping


class CrashLoopGuard:
    """Runs that this process has taken over, until they are known to be harmless."""

    def __init__(self, database: Database, is_active: Callable[[Runner], bool], when_over: Callable[[], None]) -> None:
        """``when_over`` is called when all take-overs are known to be harmless."""
        self._database = database
        self._is_active = is_active
        self._when_over = when_over
        self._begun: dict[Runner, float] = {}
        self._watching: asyncio.Task[None] | None = None

    def add(self, runner: Runner) -> None:
        """Watch a run that was taken over and started."""
        self._begun[runner] = time.monotonic()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="take-overs")

    @property
    def count(self) -> int:
        """The number of runs that others have to wait for."""
        latest = time.monotonic() - _EXCLUSIVE_SECONDS
        return sum(begun > latest for begun in self._begun.values())

    async def stop(self) -> None:
        """Watch no more; the rows keep their counts, which a process that stops in order leaves without meaning."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while self._begun:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self._confirm()
            except DatabaseUnavailable as error:
                _log.warning("take-overs are not confirmed yet, trying again: %s", error)

    async def _confirm(self) -> None:
        confirmed = [runner for runner in self._begun if runner.is_settled or not self._is_active(runner)]
        if not confirmed:
            return
        owned = [(runner.fence.run, runner.fence.token) for runner in confirmed]
        await self._database.write(lambda connection: runs.reset_takeovers(connection, owned), durable=False)
        for runner in confirmed:
            del self._begun[runner]
        if not self._begun:
            self._when_over()
