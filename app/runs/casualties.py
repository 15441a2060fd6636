"""Runs whose drivers fail: tried again a few times, then ended with the reason, so that none is tried for ever."""

from __future__ import annotations

import json
import logging
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from app.db.database import Database, WriteConnection
from app.db.repositories import breakdown, runs, transitions
from app.db.repositories.transitions import Fence
from app.engine.history import Change
from app.engine.status import NodeStatus, RunStatus
from app.executors import process
from app.runs import rows
from app.runs.masking import Masker
from app.runs.remains import clean_up_finished_runs
from app.runs.sealing import EncryptionError
from app.runs.server_context import ServerContext
from app.telemetry.logging import masked_log

_log = logging.getLogger(__name__)
_MAX_FAILURES = 3


class RunnerFailure(msgspec.Struct, frozen=True):
    """A run that its driver gave up, under the fence that the driver held, and why."""

    fence: Fence
    error: BaseException
    masker: Masker = msgspec.field(default_factory=Masker)

    @property
    def is_permanent(self) -> bool:
        """Whether this server cannot do better the next time: it would run steps without secrets, and unmasked."""
        return isinstance(self.error, EncryptionError)

    @property
    def reason(self) -> str:
        """What is told of it in the run, without secrets."""
        kind = "" if self.is_permanent else f" ({type(self.error).__name__})"
        return self.masker.mask(f"the server could not go on with the run: {self.error}{kind}")


class FailureTracker:
    """Counts the failures of this process's drivers, run by run."""

    def __init__(self, database: Database, context: ServerContext) -> None:
        self._database = database
        self._owner = context.identity.id
        self._spool: Path = context.spool
        self._now = context.now
        self._failures: Counter[int] = Counter()

    async def record(self, casualty: RunnerFailure) -> None:
        """Log a failure; end the run as failed when it was one too many."""
        fence, reason = casualty.fence, casualty.reason
        self._failures[fence.run] += 1
        count = self._failures[fence.run]
        with masked_log(casualty.masker.mask):
            told = "the driver of run %s failed (%d of %d)"
            _log.error(told, fence.run, count, _MAX_FAILURES, exc_info=casualty.error)
        if count < _MAX_FAILURES and not casualty.is_permanent:
            return
        if await self._database.write(lambda connection: self._fail_run(connection, fence, reason)):
            _log.error("run %s is ended as failed: %s", fence.run, reason)
        del self._failures[fence.run]
        await clean_up_finished_runs(self._database, self._spool, [fence.run])

    def _fail_run(self, connection: WriteConnection, fence: Fence, reason: str) -> bool:
        """Give every row of the run a lawful end; False when somebody else owns it by now."""
        if fence not in transitions.lock_fences(connection, self._owner, {fence}):
            return False
        spools = breakdown.find_spools(connection, fence)
        force_fail(connection, fence, reason, self._now())
        for spool in spools:
            self._claim(spool)
        return True

    def _claim(self, spool: str) -> None:
        """See to it that an execution which has not begun never does: a sleeping server may be about to begin it."""
        with suppress(OSError):
            process.claim_execution(process.execution_files(self._spool, spool))


def force_fail(connection: WriteConnection, fence: Fence, reason: str, now: datetime) -> None:
    """End a run as failed, and whatever of it is running; nobody else may be writing to it."""
    force_finish(connection, fence, RunStatus.FAILED, reason, now)


def force_finish(connection: WriteConnection, fence: Fence, status: RunStatus, reason: str, now: datetime) -> None:
    """End a run that nobody drives in a status, and as failed whatever of it is running."""
    open_run = breakdown.read_open(connection, fence)
    end = max([now, *open_run.times])
    nodes = {"status": int(NodeStatus.FAILED), "finished_at": end, "error": reason}
    run = {"status": int(status), "finished_at": end, **({"error": reason} if reason else {})}
    closed = {"phase": "closed", "outcome": int(status)}
    changes = [Change(position, _event_row(nodes)) for position in open_run.running]
    changes.append(Change(None, _event_row(run | closed)))
    breakdown.finish(
        connection,
        fence,
        nodes=nodes,
        run=run,
        state=_readable(open_run.state) | closed,
        events=rows.event_rows(fence.run, fence.attempt, runs.last_seq(connection, fence.run), changes, end),
    )


def _event_row(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.to_builtins(value) if isinstance(value, datetime) else value for name, value in fields.items()
    }


def _readable(state: str | None) -> dict[str, Any]:
    """Read an attempt's state as far as that is possible: it may be what has broken the run."""
    try:
        found = json.loads(state or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
