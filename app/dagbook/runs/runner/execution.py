"""Life cycle of one execution: preparing, starting or adopting, following its output, draining."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TextIO

import msgspec

from dagbook.engine.event import StepExited
from dagbook.executors import in_process, registry, shell
from dagbook.executors.capture import read_text
from dagbook.executors.contract import Execution, ExecutionFiles, Job, Outcome, SetupError
from dagbook.executors.process import process
from dagbook.executors.process.process import LOST, AdoptedProcess
from dagbook.runs.output.output_follower import CHUNK_BYTES, Chunk, OutputFollower
from dagbook.runs.runner.nodes import NodeExecution, OpenedNode
from dagbook.spec.expansion.conditions import output_matches
from dagbook.spec.expressions import ExpressionError
from dagbook.spec.model import Dag
from dagbook.unix.files import open_privately

# Seconds until the next poll of the output: at first, and while it comes in bulk; from there it doubles.
_FIRST_PAUSE, _BULK_PAUSE = 0.01, 0.002
_LONGEST_PAUSE, _LONGEST_SILENT_PAUSE = 0.1, 0.25
_LOST_WAIT_SECONDS = 0.5
_SEARCH_SECONDS = 10  # for the patterns of continueOn.output
_BATCH = 4  # chunks of a stream that are stored together: 1 MiB

StoreLog = Callable[[list[Chunk]], Awaitable[None]]


class ExecutionResult(msgspec.Struct, frozen=True):
    """Outcome of an execution, and the last part of its output, to be stored in the same commit."""

    outcome: Outcome
    tail: list[Chunk]


async def follow(execution: Execution, follower: OutputFollower, store: StoreLog) -> ExecutionResult:
    """Store output while it is written; returns when the execution has ended and all but the tail is stored."""
    waiter = asyncio.ensure_future(execution.wait())
    try:
        pause = _FIRST_PAUSE
        while not (await asyncio.wait({waiter}, timeout=pause))[0]:
            pause = await poll_output(follower, store, pause)
        return ExecutionResult(waiter.result(), await drain(follower, store))
    finally:
        waiter.cancel()


async def poll_output(follower: OutputFollower, store: StoreLog, pause: float) -> float:
    """Store the output since the last poll; returns the seconds until the next one."""
    if await _store_bulk(follower, store):
        return _BULK_PAUSE
    if chunks := await follower.take():
        await store(chunks)
        return min(pause * 2, _LONGEST_PAUSE)
    return min(pause * 2, _LONGEST_SILENT_PAUSE)


async def _store_bulk(follower: OutputFollower, store: StoreLog) -> bool:
    """Store full chunks while there are any, reading the next batch during the commit of the last; returns if any."""
    storing: asyncio.Future[None] | None = None
    try:
        while follower.pending() > CHUNK_BYTES and (chunks := await follower.take(most=_BATCH)):
            if storing is not None:
                await storing
            storing = asyncio.ensure_future(store(chunks))
    finally:
        if storing is not None:
            await storing
    return storing is not None


async def drain(follower: OutputFollower, store: StoreLog) -> list[Chunk]:
    """Store the rest of the output except for its last part, which is returned."""
    await _store_bulk(follower, store)
    tail = []
    while follower.pending():
        tail += await follower.take(at_end=True)
    follower.reset()
    return tail


async def adopt(files: ExecutionFiles | None, account: str = "") -> Execution | Outcome | None:
    """Adopt an execution by its spool files (house design section 7, recovery).

    Returns its outcome, the active process, or None if it never started and never will: then it may be started again
    with other files. Raises SetupError.
    """
    if files is None:
        return None
    if (outcome := process.read_outcome(files)) is not None:
        return outcome
    if process.has_never_run(files):
        return None
    try:
        files.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if process.claim_execution(files):
            return None
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error
    owner = process.read_started(files)
    if owner is None:  # a process has created the file and may be about to write to it
        await asyncio.sleep(_LOST_WAIT_SECONDS)
        owner = process.read_started(files)
    return LOST if owner is None else AdoptedProcess(owner, files, account)


def read_outcome(files: ExecutionFiles, reason: str) -> Outcome:
    """Read the outcome of an execution whose processes cannot be alive any more; ``reason`` is its default error."""
    return process.read_outcome(files) or Outcome(exit_code=None, error=reason)


def prepare(opened: OpenedNode, working: process.WorkingContext) -> process.GatedProcess:
    """Start the process of a command, gated: the command runs after its release. Raises SetupError."""
    node, files, account = opened.node, opened.files, working.account
    _save_start_offset(node, files)
    if summary := node.summary_file(account):
        summary.prepare(is_first=opened.number == 1)
    texts = node.texts or shell.ShellTexts()
    command = shell.build(texts, cwd=working.cwd, env=working.env, files=files, account=account)
    return process.GatedProcess(command, files)


def start_job(node: NodeExecution, job: Job, files: ExecutionFiles) -> Execution:
    """Start the execution of a step that is no command; raises SetupError."""
    _save_start_offset(node, files)
    kind = registry.find(job.type)
    if kind.in_process:
        return in_process.start(kind.run(), job, files, outlives=kind.adopts)
    return process.spawn(kind.command()(job), files)


def _save_start_offset(node: NodeExecution, files: ExecutionFiles) -> None:
    if node.step.output:
        save_offset(files, node)


def save_offset(files: ExecutionFiles, node: NodeExecution) -> None:
    """Save the byte offset in stdout at which the output of this execution starts; raises SetupError."""
    try:
        size = 0
        with suppress(FileNotFoundError):
            size = node.stdout.stat().st_size
        with open(files.path("offset"), "w", encoding="ascii", opener=open_privately) as file:
            file.write(str(size))
    except OSError as error:
        raise SetupError(f"the spool could not be written: {error}") from error


def truncate_output(files: ExecutionFiles) -> None:
    """Remove the output of an execution from stdout, so that the resumed execution can write it again."""
    if files.stdout.exists():
        os.truncate(files.stdout, _saved_offset(files))


def _saved_offset(files: ExecutionFiles) -> int:
    note = files.path("offset")
    return int(note.read_text() or 0) if note.exists() else 0


async def exit_event(opened: OpenedNode, outcome: Outcome, dag: Dag) -> StepExited:
    """Turn an outcome into the engine's event, and store the output variable in the node's record."""
    node, files = opened.node, opened.files
    error, uncaught = outcome.error, ""
    if node.step.output:
        uncaught = _capture(node, files, dag.max_output_size)
        error = uncaught or error
    current = process.read_line(files) if node.step.lines else None
    if error and (tail := node.stderr_tail(current.stderr_size if current else 0)):
        error = f"{error}\nlast of stderr:\n{tail}"
    matched = False
    if error and node.step.continue_on.output:
        try:
            log = (node.stdout, node.stderr) if dag.merges_logs(node.step) else (node.stdout,)
            matched = await asyncio.to_thread(_matches_output, node, log)
        except (ExpressionError, TimeoutError) as problem:
            error = f"{error}\ncontinueOn.output was not found: {problem}"
    code = -1 if outcome.exit_code is None else outcome.exit_code
    return StepExited(
        key=node.key,
        execution=opened.number,
        exit_code=code,
        retry_code=1 if uncaught else None,
        error=error,
        partial=outcome.partial,
        output_matched=matched,
    )


def _capture(node: NodeExecution, files: ExecutionFiles, limit: int) -> str:
    """Read the value of the output variable into the node's record; returns an error text, or ""."""
    data = node.read_stdout(_saved_offset(files), limit + 1)
    if len(data) > limit:
        node.records.output_name, node.records.output_value = None, None
        return f"the output is larger than the limit of {limit} bytes (maxOutputSize)"
    node.records.output_name = node.step.output
    node.records.output_value = read_text(data, node.encoding).strip()
    return ""


def _matches_output(node: NodeExecution, log: tuple[Path, ...]) -> bool:
    """Search in the output; raises ExpressionError and TimeoutError."""
    for path in (path for path in log if path.exists()):
        with path.open(encoding=node.encoding, errors="replace") as file:
            if output_matches(_complete_lines(file), node.step.continue_on.output):
                return True
    return False


def _complete_lines(file: TextIO) -> Iterator[str]:
    """Read texts of complete lines, of a limited size: a line may be as long as the output."""
    until = monotonic() + _SEARCH_SECONDS
    while text := file.read(CHUNK_BYTES):
        yield text + file.readline(CHUNK_BYTES)
        if monotonic() > until:
            raise TimeoutError(f"the search was given up after {_SEARCH_SECONDS} seconds")
