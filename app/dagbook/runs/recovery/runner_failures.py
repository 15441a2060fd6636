"""Failures of runners: the run is adopted again up to twice, then finished as failed."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec

from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories.runs import force_finish, run_writes
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.engine.status import RunStatus
from dagbook.executors.process import process
from dagbook.runs.recovery.spool_cleanup import clean_up_finished_runs
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import finishing
from dagbook.telemetry.logging import masked_log

_log = logging.getLogger(__name__)
_MAX_FAILURES = 3


class RunnerFailure(msgspec.Struct, frozen=True):
    """Error that ended a runner, with its fence."""

    fence: Fence
    error: BaseException
    masker: Masker = msgspec.field(default_factory=Masker)

    @property
    def is_permanent(self) -> bool:
        """Whether another try cannot succeed: without the key it would run steps without secrets, unmasked."""
        return isinstance(self.error, EncryptionError)

    @property
    def reason(self) -> str:
        """The masked error text for the run."""
        kind = "" if self.is_permanent else f" ({type(self.error).__name__})"
        return self.masker.mask(f"the server could not continue the run: {self.error}{kind}")


class FailureTracker:
    """Counts the failures of the runners of this process, per run."""

    def __init__(self, database: Database, context: ServerContext) -> None:
        self._database = database
        self._owner = context.identity.id
        self._spool: Path = context.spool
        self._now = context.now
        self._failures: Counter[int] = Counter()

    async def record(self, failure: RunnerFailure) -> None:
        """Log a failure; finish the run as failed at the third one, or at once if it is permanent."""
        fence, reason = failure.fence, failure.reason
        self._failures[fence.run] += 1
        count = self._failures[fence.run]
        with masked_log(failure.masker.mask):
            message = "the runner of run %s failed (%d of %d)"
            _log.error(message, fence.run, count, _MAX_FAILURES, exc_info=failure.error)
        if count < _MAX_FAILURES and not failure.is_permanent:
            return
        if await self._database.write(lambda connection: self._fail_run(connection, fence, reason)):
            _log.error("run %s was finished as failed: %s", fence.run, reason)
        del self._failures[fence.run]
        await clean_up_finished_runs(self._database, self._spool, [fence.run])

    def _fail_run(self, connection: WriteConnection, fence: Fence, reason: str) -> bool:
        """Finish all rows of the run as failed; returns False if another server owns it by now."""
        if fence not in run_writes.lock_fences(connection, self._owner, {fence}):
            return False
        spools = force_finish.find_spools(connection, fence)
        finishing.force_finish(connection, fence, RunStatus.FAILED, reason, self._now())
        for spool in spools:
            # An execution that has not started must never start: a suspended server may be about to start it.
            with suppress(OSError):
                process.claim_execution(process.execution_files(self._spool, spool))
        return True
