"""Ends runs that no process drives, from their rows alone: nothing of them is loaded, evaluated or executed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, holds
from dagbook.db.repositories.runs import runs, status_overrides
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.engine.status import RunStatus
from dagbook.executors.process import process
from dagbook.runs.model import SpoolMatch, StopOrder
from dagbook.runs.recovery.takeover import clean_up_finished_runs, loss_of, spool_match
from dagbook.runs.recovery.trials import MAX_DEATHS, Orphan, deaths_of
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import finishing

_log = logging.getLogger(__name__)
_HOPELESS = (
    "not taken over again: {} processes in a row died when they continued the run; its steps were ended, handlers "
    "were not run"
)
_STOPPED = "stopped while no process ran it: nothing more of it was executed, handlers included"
_ELSEWHERE = "; processes that it may have left on {} were not ended"


def finish_rows(
    connection: WriteConnection, fence: Fence, status: RunStatus, reason: str, context: ServerContext
) -> None:
    """Finish all rows of an attempt that this process owns, and exclude that one of its executions starts later."""
    spools = status_overrides.find_spools(connection, fence)
    finishing.force_finish(connection, fence, status, reason, context.now())
    for spool in spools:
        # An execution that has not started must never start: a suspended server may be about to start it.
        with suppress(OSError):
            process.claim_execution(process.execution_files(context.spool, spool))


class LeftRuns:
    """Ends runs whose owner is lost."""

    def __init__(self, database: Database, context: ServerContext) -> None:
        self._database = database
        self._context = context
        self._identity = context.identity
        self._sole = database.dialect == "sqlite"  # the lock file excludes other servers

    def find_orphan(self, attempt: OpenAttempt, *, sole: bool = False) -> Orphan | None:
        """Return the attempt as an orphan; None while its owner may be alive. Reads /proc.

        ``sole``: no other process works with this database.
        """
        context = self._context
        grace = timedelta(seconds=context.orphan_grace_seconds)
        loss = loss_of(attempt, self._identity, context.now(), grace, sole=sole or self._sole)
        return None if loss is None else Orphan(attempt, loss, deaths_of(attempt, self._identity.id))

    async def is_silent(self, attempt: OpenAttempt) -> bool:
        """Whether certainly no process writes to the files of the attempt's running steps."""
        fence = Fence(attempt.run, attempt.number, attempt.token)
        spools = await self._database.read(lambda connection: status_overrides.find_spools(connection, fence))
        found = (process.execution_files(self._context.spool, spool) for spool in spools)
        return not any(process.may_have_writers(files) for files in found)

    async def end(self, orphans: Iterable[Orphan]) -> list[int]:
        """End runs that have killed too many owners, and suspected ones that are to stop; returns their keys."""
        ended = []
        for orphan in orphans:
            is_hopeless = orphan.deaths >= MAX_DEATHS
            status = RunStatus.FAILED if is_hopeless else RunStatus.ABORTED
            reason = _HOPELESS.format(orphan.deaths) if is_hopeless else self._reason(orphan.attempt)
            if await self._database.write(partial(self._end, attempt=orphan.attempt, status=status, reason=reason)):
                _log.error("run %s was finished as %s: %s", orphan.attempt.run, status.label, reason)
                ended.append(orphan.attempt.run)
        await self._clean_up(ended)
        return ended

    async def find_stopping(self, orphans: Iterable[Orphan]) -> set[int]:
        """Return the keys of those runs that are asked to stop."""
        keys = [orphan.attempt.run for orphan in orphans]
        return await self._database.read(lambda connection: runs.find_stopping(connection, keys)) if keys else set()

    async def stop(self, key: int, stop: StopOrder, *, only_suspected: bool) -> list[int]:
        """End a root run and its sub-runs as aborted, if the owner of the run is lost.

        ``only_suspected``: others are taken over, and are to be asked to stop. Returns the keys of the ended runs; none
        if the run has an owner. Sub-runs that have one are asked to stop.
        """

        def find_orphans(connection: ReadConnection) -> dict[int, Orphan]:
            keys = set(runs.find_unfinished_family(connection, key))
            family = [attempt for attempt in runs.find_open_attempts(connection) if attempt.run in keys]
            held = holds.get(connection) is not None  # then every owner is a process of the original
            found = (self.find_orphan(attempt, sole=held) for attempt in family)
            return {orphan.attempt.run: orphan for orphan in found if orphan is not None}

        orphans = await self._database.read(find_orphans)
        orphan = orphans.get(key)
        if orphan is None or (only_suspected and not orphan.deaths):
            return []
        if orphan.loss.if_silent and not await self.is_silent(orphan.attempt):
            return []
        ended = await self._database.write(lambda connection: self._stop(connection, key, orphans, stop))
        await self._clean_up(ended)
        return ended

    def _stop(self, connection: WriteConnection, key: int, orphans: dict[int, Orphan], stop: StopOrder) -> list[int]:
        if not runs.fence_off(connection, orphans[key].attempt):
            return []
        ended = [key]
        for run in runs.find_unfinished_family(connection, key):
            runs.add_stop_request(connection, run, stop.actor, stop.entry["at"], at_once=run != key)
            orphan = orphans.get(run)
            if run != key and orphan is not None and runs.fence_off(connection, orphan.attempt):
                ended.append(run)
        for run in ended:
            self._finish(connection, orphans[run].attempt, RunStatus.ABORTED, self._reason(orphans[run].attempt))
        audit.add(connection, stop.entry)
        return ended

    def _reason(self, attempt: OpenAttempt) -> str:
        is_elsewhere = spool_match(attempt, self._identity) is not SpoolMatch.OWN
        return _STOPPED + (_ELSEWHERE.format(attempt.owner_host) if is_elsewhere else "")

    def _end(self, connection: WriteConnection, attempt: OpenAttempt, status: RunStatus, reason: str) -> bool:
        if not runs.fence_off(connection, attempt):
            return False
        self._finish(connection, attempt, status, reason)
        return True

    def _finish(self, connection: WriteConnection, attempt: OpenAttempt, status: RunStatus, reason: str) -> None:
        finish_rows(connection, Fence(attempt.run, attempt.number, attempt.token + 1), status, reason, self._context)

    async def _clean_up(self, keys: Sequence[int]) -> None:
        """Kill the processes that are left of steps, and remove their files and containers."""
        if keys:
            await clean_up_finished_runs(self._database, self._context.spool, keys)
