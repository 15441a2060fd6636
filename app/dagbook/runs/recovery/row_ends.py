"""Ends of runs by their rows alone: nothing of them is loaded, evaluated or executed; clean-up of what they left."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, holds
from dagbook.db.repositories.runs import run_writes, runs, status_overrides
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.engine.status import RunStatus
from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.process import process
from dagbook.runs.active_runs import RunnerFailure
from dagbook.runs.model import SpoolMatch, StopOrder
from dagbook.runs.output.spool import RunSpool, spooled_runs
from dagbook.runs.recovery.crash_loop import MAX_CRASHES, Orphan, crashes_of
from dagbook.runs.recovery.ownership import loss_of, spool_match
from dagbook.runs.runner.shared_resources import release_noted
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import finishing
from dagbook.telemetry.logging import masked_log

_log = logging.getLogger(__name__)
_MAX_FAILURES = 3
_NOTED_SECONDS = 4.0  # the next renewal of this server's lease waits for it
_GROUP = 1000  # both engines limit the parameters of a statement
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


async def clean_up_finished_runs(database: Database, spool: Path, keys: Sequence[int] | None = None) -> None:
    """Kill the processes and remove the files of those runs that have finished; by default of all with spool files.

    Files that belong to no run of this database are left alone: servers of another database may share the directory.
    """
    found = await asyncio.to_thread(spooled_runs, spool) if keys is None else keys
    for begin in range(0, len(found), _GROUP):
        finished = await database.read(partial(runs.find_finished, keys=found[begin : begin + _GROUP]))
        spools = [RunSpool(spool, key, attempt) for key, attempt in finished.items()]
        notes = [note for files in spools for note in await asyncio.to_thread(files.pending_notes)]
        await release_noted(notes, _NOTED_SECONDS)
        for files in spools:
            await asyncio.to_thread(_remove, files)


def _remove(files: RunSpool) -> None:
    for started in files.find("*.started"):
        base = str(started).removesuffix(".started")
        process.kill_abandoned(ExecutionFiles(base, files.spool, files.spool))
    files.remove_all()


class OrphanEnder:
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
        return None if loss is None else Orphan(attempt, loss, crashes_of(attempt, self._identity.id))

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
            is_hopeless = orphan.crashes >= MAX_CRASHES
            status = RunStatus.FAILED if is_hopeless else RunStatus.ABORTED
            reason = _HOPELESS.format(orphan.crashes) if is_hopeless else self._reason(orphan.attempt)
            if await self._database.write(partial(self._end, attempt=orphan.attempt, status=status, reason=reason)):
                name = await _name_of(self._database, orphan.attempt.run)
                _log.error("run %s was finished as %s: %s", name, status.label, reason)
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
        if orphan is None or (only_suspected and not orphan.crashes):
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
            runs.add_stop_request(connection, run, stop.actor, stop.entry.at, at_once=run != key)
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


async def _name_of(database: Database, run: int) -> str:
    """Return what the log calls a run: the names of its DAG and of itself, as in its address."""
    return "/".join(await database.read(lambda connection: runs.get_name(connection, run)))


class FailureTracker:
    """Counts the failures of the runners of this process, per run."""

    def __init__(self, database: Database, context: ServerContext) -> None:
        self._database = database
        self._context = context
        self._failures: Counter[int] = Counter()

    async def record(self, failure: RunnerFailure) -> None:
        """Log a failure; finish the run as failed at the third one, or at once if it is permanent."""
        fence, reason = failure.fence, failure.reason
        self._failures[fence.run] += 1
        count = self._failures[fence.run]
        name = await _name_of(self._database, fence.run)
        with masked_log(failure.masker.mask):
            message = "the runner of run %s failed (%d of %d)"
            _log.error(message, name, count, _MAX_FAILURES, exc_info=failure.error)
        if count < _MAX_FAILURES and not failure.is_permanent:
            return

        def fail(connection: WriteConnection) -> bool:
            if fence not in run_writes.lock_fences(connection, self._context.identity.id, {fence}).held:
                return False  # another server owns the run by now
            finish_rows(connection, fence, RunStatus.FAILED, reason, self._context)
            return True

        if await self._database.write(fail):
            _log.error("run %s was finished as failed: %s", name, reason)
        del self._failures[fence.run]
        await clean_up_finished_runs(self._database, self._context.spool, [fence.run])
