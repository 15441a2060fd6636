"""Executions that run as a task in the server's process, and short commands whose output is captured."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from dagbook.executors import cancellation
from dagbook.executors.contract import ExecutionFiles, Job, Outcome, SetupError, StepError, Streams
from dagbook.executors.process import process
from dagbook.executors.registry import Run

_log = logging.getLogger(__name__)
_UNKNOWN = Outcome(exit_code=None, error="interrupted: its server ended, the outcome is unknown")
_STOPPED = Outcome(exit_code=None, error="stopped")


class InProcessExecution:
    """An active job in this process. The creator of the file ``started`` owns it, as with a subprocess."""

    def __init__(self, run: Run, job: Job, files: ExecutionFiles, *, outlives: bool = False) -> None:
        self.outlives = outlives  # what it has started continues without this server, and another one adopts it
        self._files = files
        self._streams = Streams(files)
        self._task = asyncio.create_task(self._run(run, job), name=f"step {job.id}")
        # Also when the task never ran, or its waiter was cancelled.
        self._task.add_done_callback(lambda _: self._streams.close())

    async def _run(self, run: Run, job: Job) -> Outcome:
        try:
            code = await run(job, self._streams)
        except StepError as error:
            return Outcome(exit_code=error.exit_code, error=str(error))
        except SetupError:
            raise
        except asyncio.CancelledError:
            return _STOPPED
        except Exception as error:  # noqa: BLE001 - the step must finish whatever an executor raises
            _log.exception("executor %r", job.type)
            return Outcome(exit_code=1, error=f"internal error of the executor: {error}")
        return process.outcome_of(code)

    async def wait(self) -> Outcome:
        """Return when the job has finished. Raises SetupError when it could not be started."""
        await asyncio.wait({self._task})
        # A task cancelled before its first step never runs; its CancelledError is not one of this caller.
        outcome = _STOPPED if self._task.cancelled() else self._task.result()
        _write_exit_code(self._files, outcome)
        return outcome

    def signal(self, name: str) -> None:
        """Cancel the job; the executor gets the signal's name as the message."""
        self._cancel(name)

    def kill(self) -> None:
        """Cancel the job with SIGKILL as the message."""
        self._cancel(cancellation.KILL)

    def detach(self) -> None:
        """Let another server adopt what outlives this one; other jobs end with this process."""
        self._cancel(cancellation.DETACH if self.outlives else cancellation.KILL)

    def _cancel(self, message: str) -> None:
        """Cancel after the task's first step: a task cancelled before it never runs its handlers."""
        asyncio.get_running_loop().call_soon(self._task.cancel, message)


def start(run: Run, job: Job, files: ExecutionFiles, *, outlives: bool = False) -> InProcessExecution:
    """Start a job. Raises SetupError when it was started before."""
    try:
        os.close(os.open(files.started, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return InProcessExecution(run, job, files, outlives=outlives)
    except FileExistsError as error:
        raise SetupError("the execution was started before") from error
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def adopt(resume: Run, job: Job, files: ExecutionFiles) -> InProcessExecution:
    """Adopt a job of another server. Raises SetupError."""
    try:
        return InProcessExecution(resume, job, files, outlives=True)
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def find_outcome(files: ExecutionFiles, *, adopts: bool = False) -> Outcome | None:
    """Return the outcome of a job of another server; None when it has not started and never will.

    An executor that ``adopts`` has started nothing as long as it has no note. Raises SetupError.
    """
    code = process.read_exit(files)
    if code is not None:
        return process.outcome_of(code)
    try:
        files.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return None if process.claim_execution(files) or adopts else _UNKNOWN
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def _write_exit_code(files: ExecutionFiles, outcome: Outcome) -> None:
    """Write the exit code for a server that adopts the execution."""
    if outcome.exit_code is None:
        return
    try:
        Path(files.started).write_text(f"{outcome.exit_code:03d}\ninside\n")
    except OSError as error:  # a full disk: the outcome is known as long as this server runs
        _log.warning("an exit code could not be written to the spool: %s", error)
