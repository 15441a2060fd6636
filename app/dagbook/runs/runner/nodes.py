"""Nodes of one run in this process: files, evaluated texts, output offsets, record, and the context that each sees."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from dagbook.db.repositories.runs.run_rows import NewChunk
from dagbook.engine.event import WAIT
from dagbook.engine.plan import node_of
from dagbook.engine.state import RunState
from dagbook.executors import registry
from dagbook.executors.capture import read_text
from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.shell import ShellTexts
from dagbook.runs.evaluation.environment import StepContext
from dagbook.runs.output.decoding import UTF_8
from dagbook.runs.output.output_chunks import read_tail
from dagbook.runs.output.output_follower import (
    STDERR,
    STDOUT,
    Chunk,
    OutputFollower,
    Redirect,
    StreamFollower,
    StreamOffset,
    StreamOptions,
)
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.output.summaries import VARIABLE, SummaryFile
from dagbook.runs.runner.approval import given_values
from dagbook.runs.runner.preparation import RunnerDeps
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store.row_mapping import NodeRecord
from dagbook.spec.expansion import scope
from dagbook.spec.expansion.expand import StepFacts
from dagbook.spec.model import Pair, Step

_STDERR_TAIL_BYTES = 1024


class NodeExecution:
    """Files, evaluated texts, output offsets and record of one node of a run in this process."""

    def __init__(
        self, key: int, step: Step, run_files: RunSpool, records: NodeRecord, masker: Masker, encoding: str
    ) -> None:
        self.key = key
        self.step = step
        self.records = records
        self.encoding = encoding if step.executor.type in registry.PROGRAM_ENCODING_TYPES else UTF_8
        self._masker = masker
        self.texts: ShellTexts | None = None  # evaluated once, reused by retries and repetitions
        self.env: tuple[Pair, ...] | None = None  # variables of the step, visible to its conditions as well
        self.positions = {STDOUT: StreamOffset(), STDERR: StreamOffset()}
        self.ordinal = 0
        self.received_at: datetime | None = None  # the time of the last chunk
        self.follower: OutputFollower | None = None  # executions after the first write to the same files
        self._base = run_files.node_base(key, step.name)
        self.stdout = Path(f"{self._base}.out")  # all executions of the node append their output to these
        self.stderr = Path(f"{self._base}.err")
        self._summary: SummaryFile | None = None

    def summary_file(self, account: str) -> SummaryFile | None:
        """Return the file for a summary; None unless the step is a program of this machine, which can write to it."""
        if self._summary is None and self.step.executor.type in registry.COMMAND_TYPES:
            self._summary = SummaryFile(self._base, account)
        return self._summary

    def read_summary(self, account: str) -> str:
        """Return the summary that the execution has written, masked; empty without one."""
        file = self.summary_file(account)
        return "" if file is None else file.read(self._masker, self.encoding)

    def files(self, execution: int, *, again: int = 0) -> ExecutionFiles:
        """Return the files of an execution; ``again`` makes the names of a further set unique."""
        name = f"{execution}-{again}" if again else f"{execution}"
        return ExecutionFiles(f"{self._base}.{name}", self.stdout, self.stderr)

    def open(self, redirects: dict[int, Path | None], log_limit: int, account: str = "") -> OutputFollower:
        """Open the output files, to follow them from the end of the stored part; raises OSError and SetupError.

        Files of ``stdout`` and ``stderr`` are opened as the account.
        """
        options = StreamOptions(limit=log_limit, masker=self._masker, encoding=self.encoding)
        streams = []
        for number, path in ((STDOUT, self.stdout), (STDERR, self.stderr)):
            redirect = redirects.get(number)
            copy = Redirect(redirect, Path(f"{path}.copied"), account) if redirect else None
            streams.append(StreamFollower(number, path, self.positions[number], copy, options))
        self.follower = OutputFollower((streams[0], streams[1]))
        return self.follower

    def close(self) -> None:
        """Close the files."""
        if self.follower is not None:
            self.follower.close()
            self.follower = None

    def remove(self, executions: int) -> None:
        """Remove the files of executions 1 to ``executions``; their contents are stored."""
        for path in (self.stdout, self.stderr):
            path.unlink(missing_ok=True)
            if self.step.stdout or self.step.stderr:
                Path(f"{path}.copied").unlink(missing_ok=True)
        if self._summary is not None:
            self._summary.remove()
        for number in range(1, executions + 1):
            files = self.files(number)
            Path(files.started).unlink(missing_ok=True)
            for path in self._extra_files(files):
                path.unlink(missing_ok=True)

    def _extra_files(self, files: ExecutionFiles) -> Iterator[Path]:
        """Yield the other files an execution may have made; trying to unlink one that is missing costs as much."""
        if self.step.output or self.step.call is not None:
            yield files.path("offset")
        if self.step.lines:
            yield files.line
        if self.step.executor.type not in registry.COMMAND_TYPES:
            yield files.note

    def chunk_rows(
        self, chunks: list[Chunk], *, run: int, attempt: int, execution: int, at: datetime
    ) -> list[NewChunk]:
        """Make the rows of chunks, numbered in their order of arrival.

        Their times have this order, too, also when the clock is set back: readers of all steps go by the time.
        """
        first, self.ordinal = self.ordinal, self.ordinal + len(chunks)
        at = self.received_at = max(at, self.received_at or at)
        return [
            chunk.row(run=run, attempt=attempt, position=self.key, execution=execution, ordinal=ordinal, at=at)
            for ordinal, chunk in enumerate(chunks, first)
        ]

    def read_stdout(self, offset: int, limit: int) -> bytes:
        """Read at most ``limit`` bytes of stdout from a byte offset."""
        try:
            with self.stdout.open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def stderr_tail(self, start: int = 0) -> str:
        """Read the end of stderr (1 KiB, masked) for error texts, but nothing before the byte ``start``."""
        try:
            with self.stderr.open("rb") as file:
                most = min(_STDERR_TAIL_BYTES, os.fstat(file.fileno()).st_size - start)
                return read_text(read_tail(file, self.encoding, self._masker, most)).strip() if most > 0 else ""
        except FileNotFoundError:
            return ""


class OpenedNode(msgspec.Struct, frozen=True):
    """A node during one execution: its output files are open."""

    node: NodeExecution
    number: int  # of the execution
    files: ExecutionFiles
    follower: OutputFollower


class NodeRegistry:
    """Node executions of one run, by key."""

    def __init__(self, deps: RunnerDeps, records: Mapping[int, NodeRecord]) -> None:
        self._deps = deps
        self._plan = deps.plan
        self._records = records
        self._nodes: dict[int, NodeExecution] = {}
        self._has_outputs = bool(deps.plan.approvals) or any(step.output for step in deps.plan.dag.steps)
        self._with_id = [(key, step) for key, step in enumerate(deps.plan.dag.steps) if step.id]

    def get(self, key: int) -> NodeExecution:
        """Return the execution of a node, made at the first call."""
        if key not in self._nodes:
            records, deps = self._records.get(key) or NodeRecord(), self._deps
            self._nodes[key] = NodeExecution(
                key, self._plan.step(key), deps.files, records, deps.run.masker, deps.environment.encoding
            )
        return self._nodes[key]

    async def evaluate_env(
        self, node: NodeExecution, context: StepContext, committed: asyncio.Event | None = None
    ) -> tuple[Pair, ...]:
        """Evaluate the variables of a node, once for its conditions and all its executions."""
        if node.env is None:
            environment = self._deps.environment
            cwd = environment.directory_of(node.step)
            node.env = await environment.evaluate_step_env(node.step, context, cwd, committed)
        return node.env

    def close(self) -> None:
        """Close the files of all nodes."""
        for node in self._nodes.values():
            node.close()

    def remove_files(self, state: RunState) -> None:
        """Remove the files of all nodes; their contents are stored."""
        for key, node in self._nodes.items():
            node.remove(node_of(state, key).execution)

    def context_for(self, key: int, state: RunState) -> StepContext:
        """Return the outputs, step records and log files that a node sees in a state of the run."""
        node = self.get(key)
        outcome, summary = state.outcome or state.status, node.summary_file(self._deps.environment.account)
        waiting = [at for at, each in enumerate(state.steps) if key == WAIT and self._plan.waits_for_approval(at, each)]
        return StepContext(
            outputs=self._outputs(key),
            steps=self._step_records(state),
            handler_status="waiting" if key == WAIT else outcome.label if key < 0 else "",
            waiting_steps=",".join(self._plan.step(each).name for each in waiting),
            log_files={
                "DAG_RUN_STEP_STDOUT_FILE": str(node.stdout),
                "DAG_RUN_STEP_STDERR_FILE": str(node.stderr),
                **({VARIABLE: str(summary.path)} if summary else {}),
            },
        )

    def _outputs(self, key: int) -> dict[str, str]:
        """Collect the outputs a node sees: those of its ancestors, nearest first; a handler sees those of all steps."""
        steps = self._plan.dag.steps
        if not self._has_outputs:
            return {}
        sources = range(len(steps)) if key < 0 else scope.visible_outputs(steps, key)
        found: dict[str, str] = {}
        for source in sources:
            records = self._nodes[source].records if source in self._nodes else self._records.get(source)
            if records is not None and records.output_name and records.output_value is not None:
                found.setdefault(records.output_name, records.output_value)
            for name, value in given_values(records.approval if records is not None else None).items():
                found.setdefault(name, value)
        return found

    def _step_records(self, state: RunState) -> dict[str, StepFacts]:
        records = {}
        for key, step in self._with_id:
            node = self.get(key) if state.steps[key].execution > 0 else None
            records[step.id] = StepFacts(
                stdout=str(node.stdout) if node else "",
                stderr=str(node.stderr) if node else "",
                exit_code=state.steps[key].exit_code,
            )
        return records
