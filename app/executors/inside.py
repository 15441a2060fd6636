"""An execution that works inside the server, as the one task it is."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from app.executors import process, stopping
from app.executors.contract import ExecutionFiles, Job, Outcome, SetupError, StepError, Streams
from app.executors.registry import Run

_log = logging.getLogger(__name__)
_UNKNOWN = Outcome(exit_code=None, error="interrupted: its server ended, the outcome is unknown")
_STOPPED = Outcome(exit_code=None, error="stopped")


class InsideExecution:
    """A job under way in this process. Whoever created ``started`` owns it, as with a process."""

    def __init__(self, run: Run, job: Job, files: ExecutionFiles, *, outlives: bool = False) -> None:
        self.outlives = outlives  # what was begun goes on without this server, and another one adopts it
        self._files = files
        self._streams = Streams(files)
        self._task = asyncio.create_task(self._work(run, job), name=f"step {job.id}")
        # Whatever becomes of the task and of whoever waits for it, a task that never ran included.
        self._task.add_done_callback(lambda _: self._streams.close())

    async def _work(self, run: Run, job: Job) -> Outcome:
        try:
            code = await run(job, self._streams)
        except StepError as error:
            return Outcome(exit_code=error.exit_code, error=str(error))
        except SetupError:
            raise
        except asyncio.CancelledError:
            return _STOPPED
        except Exception as error:  # noqa: BLE001 - whatever an executor meets, its step has an end
            _log.exception("executor %r", job.type)
            return Outcome(exit_code=1, error=f"internal error of the executor: {error}")
        return process.outcome_of(code)

    async def wait(self) -> Outcome:
        """Return when the job has ended; raises SetupError when it could not begin."""
        await asyncio.wait({self._task})
        # A task that is cancelled before its first turn never runs: its cancellation is not that of who waits.
        outcome = _STOPPED if self._task.cancelled() else self._task.result()
        _leave_code(self._files, outcome)
        return outcome

    def signal(self, name: str) -> None:
        """Ask the job to end; the executor hears the signal's name."""
        self._cancel(name)

    def kill(self) -> None:
        """Ask the job to end at once."""
        self._cancel(stopping.KILL)

    def detach(self) -> None:
        """Leave alone what another server can take over; what happens inside this process ends with it."""
        self._cancel(stopping.DETACH if self.outlives else stopping.KILL)

    def _cancel(self, message: str) -> None:
        """Cancel the task behind its first turn: before that it is deaf, and what it adopts has to hear of it."""
        asyncio.get_running_loop().call_soon(self._task.cancel, message)


def begin(run: Run, job: Job, files: ExecutionFiles, *, outlives: bool = False) -> InsideExecution:
    """Begin a job; raises SetupError when it was begun before."""
    try:
        if not _own(files):
            raise SetupError("the execution was begun before")
        return InsideExecution(run, job, files, outlives=outlives)
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def adopt(go_on: Run, job: Job, files: ExecutionFiles) -> InsideExecution:
    """Go on with a job of another server; raises SetupError."""
    try:
        return InsideExecution(go_on, job, files, outlives=True)
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def find_end(files: ExecutionFiles, *, adopts: bool = False) -> Outcome | None:
    """Tell how a job of another server ended; None when nothing of it has begun and never will.

    One that ``adopts`` has begun nothing as long as it has no note.
    """
    code = process.read_exit(files)
    if code is not None:
        return process.outcome_of(code)
    try:
        files.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return None if process.claim(files) or adopts else _UNKNOWN
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def _own(files: ExecutionFiles) -> bool:
    try:
        os.close(os.open(files.started, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def _leave_code(files: ExecutionFiles, outcome: Outcome) -> None:
    """Write the exit code where whoever takes over looks for it."""
    if outcome.exit_code is None:
        return
    try:
        Path(files.started).write_text(f"{outcome.exit_code:03d}\ninside\n")
    except OSError as error:  # a full disk: the outcome is known all the same, as long as this server lives
        _log.warning("an exit code could not be left in the spool: %s", error)
