"""Runs whose drivers fail: tried again a few times, then ended with the reason, so that none is tried for ever."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec

from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories.runs import force_finish, run_writes
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.executors.process import process
from dagbook.runs.recovery.spool_cleanup import clean_up_finished_runs
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store.finishing import force_fail
from dagbook.telemetry.logging import masked_log

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
        if fence not in run_writes.lock_fences(connection, self._owner, {fence}):
            return False
        spools = force_finish.find_spools(connection, fence)
        force_fail(connection, fence, reason, self._now())
        for spool in spools:
            self._claim(spool)
        return True

    def _claim(self, spool: str) -> None:
        """See to it that an execution which has not begun never does: a sleeping server may be about to begin it."""
        with suppress(OSError):
            process.claim_execution(process.execution_files(self._spool, spool))
