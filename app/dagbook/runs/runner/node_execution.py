"""Files, output offsets and record of one node, beside the engine's state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagbook.executors import registry
from dagbook.executors.capture import read_text
from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.shell import ShellTexts
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
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store.row_mapping import NodeRecord
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
        self.encoding = encoding if registry.uses_program_encoding(step.executor.type) else UTF_8
        self._masker = masker
        self.texts: ShellTexts | None = None  # evaluated once, reused by retries and repetitions
        self.env: tuple[Pair, ...] | None = None  # variables of the step, visible to its conditions as well
        self.positions = {STDOUT: StreamOffset(), STDERR: StreamOffset()}
        self.ordinal = 0
        self.follower: OutputFollower | None = None
        self._base = run_files.node_base(key, step.name)
        self.stdout = Path(f"{self._base}.out")  # all executions of the node append their output to these
        self.stderr = Path(f"{self._base}.err")

    def files(self, execution: int, *, again: int = 0) -> ExecutionFiles:
        """Return the files of an execution; ``again`` makes the names of a further set unique."""
        name = f"{execution}-{again}" if again else f"{execution}"
        return ExecutionFiles(f"{self._base}.{name}", self.stdout, self.stderr)

    def open(self, redirects: dict[int, Path | None], log_limit: int, account: str = "") -> OutputFollower:
        """Open the output files and follow them from the end of the stored part; raises OSError and SetupError.

        Files of ``stdout`` and ``stderr`` are opened as the account.
        """
        if self.follower is None:
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
        self, chunks: list[Chunk], *, run: int, attempt: int, execution: int, at: Any
    ) -> list[dict[str, Any]]:
        """Make the rows of chunks, numbered in their order of arrival."""
        rows = []
        for chunk in chunks:
            row: dict[str, Any] = {name: getattr(chunk, name) for name in Chunk.__struct_fields__}
            row.update(run_id=run, attempt=attempt, position=self.key, execution=execution, received_at=at)
            row["ordinal"] = self.ordinal
            self.ordinal += 1
            rows.append(row)
        return rows

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
