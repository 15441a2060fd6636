"""What a runner keeps of one node beside the engine's state: its files, its place in the log, its facts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagbook.executors import registry
from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.output import read_text
from dagbook.executors.process.process import execution_files
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
from dagbook.runs.output.spool_paths import RunSpool
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store.row_mapping import NodeRecord
from dagbook.spec.model import Pair, Step

_STDERR_TAIL_BYTES = 1024


class NodeExecution:
    """One node of a run that this process drives."""

    def __init__(
        self, key: int, step: Step, run_files: RunSpool, records: NodeRecord, masker: Masker, encoding: str
    ) -> None:
        self.key = key
        self.step = step
        self.records = records
        self.encoding = encoding if registry.uses_program_encoding(step.executor.type) else UTF_8  # of what it writes
        self._masker = masker
        self.texts: ShellTexts | None = None  # evaluated once, reused by retries and repetitions
        self.env: tuple[Pair, ...] | None = None  # the step's own variables; conditions see them too
        self.positions = {STDOUT: StreamOffset(), STDERR: StreamOffset()}
        self.ordinal = 0
        self.follower: OutputFollower | None = None
        self._base = run_files.node_base(key, step.name)
        self.stdout = Path(f"{self._base}.out")  # all executions of the node append their output to these
        self.stderr = Path(f"{self._base}.err")

    def files(self, execution: int, *, again: int = 0) -> ExecutionFiles:
        """Name the files of an execution; ``again`` tells a second set of the same one."""
        name = f"{execution}-{again}" if again else f"{execution}"
        return ExecutionFiles(f"{self._base}.{name}", self.stdout, self.stderr)

    def stored_files(self) -> ExecutionFiles | None:
        """Name the files that the row names, in this server's spool; None when it names none."""
        return None if self.records.spool is None else execution_files(self.stdout.parent, self.records.spool)

    def open(self, redirects: dict[int, Path | None], log_limit: int) -> OutputFollower:
        """Begin to follow the streams, where a stored prefix of them ends; raises OSError."""
        if self.follower is None:
            streams = [self._stream(number, redirects.get(number), log_limit) for number in (STDOUT, STDERR)]
            self.follower = OutputFollower((streams[0], streams[1]))
        return self.follower

    def _stream(self, number: int, redirect: Path | None, log_limit: int) -> StreamFollower:
        path = self.stdout if number == STDOUT else self.stderr
        copy = Redirect(redirect, Path(f"{path}.copied")) if redirect else None
        terms = StreamOptions(limit=log_limit, masker=self._masker, encoding=self.encoding)
        return StreamFollower(number, path, self.positions[number], copy, terms)

    def close(self) -> None:
        """Release the files."""
        if self.follower is not None:
            self.follower.close()
            self.follower = None

    def remove(self, executions: int) -> None:
        """Remove the files; all that is in them is stored."""
        for path in (self.stdout, self.stderr):
            path.unlink(missing_ok=True)
            if self.step.stdout or self.step.stderr:
                Path(f"{path}.copied").unlink(missing_ok=True)
        for number in range(1, executions + 1):
            files = self.files(number)
            Path(files.started).unlink(missing_ok=True)
            for left in self._left_by(files):
                left.unlink(missing_ok=True)

    def _left_by(self, files: ExecutionFiles) -> Iterator[Path]:
        """Name what an execution may have left; most leave nothing, and looking costs as much as a file."""
        if self.step.output or self.step.call is not None:
            yield files.path("offset")
        if self.step.executor.type not in registry.COMMAND_TYPES:
            yield files.path("job")
            yield files.note

    def chunk_rows(
        self, chunks: list[Chunk], *, run: int, attempt: int, execution: int, at: Any
    ) -> list[dict[str, Any]]:
        """Make rows of chunks, in the order of their arrival."""
        rows = []
        for chunk in chunks:
            row: dict[str, Any] = {name: getattr(chunk, name) for name in Chunk.__struct_fields__}
            row.update(run_id=run, attempt=attempt, position=self.key, execution=execution, received_at=at)
            row["ordinal"] = self.ordinal
            self.ordinal += 1
            rows.append(row)
        return rows

    def stdout_size(self) -> int:
        """Bytes in the stdout file so far."""
        try:
            return self.stdout.stat().st_size
        except FileNotFoundError:
            return 0

    def read_stdout(self, offset: int, limit: int) -> bytes:
        """Read stdout from an offset, at most ``limit`` bytes."""
        try:
            with self.stdout.open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def stderr_tail(self) -> str:
        """Give the last part of stderr, for error texts."""
        try:
            with self.stderr.open("rb") as file:
                return read_text(read_tail(file, self.encoding, self._masker, _STDERR_TAIL_BYTES)).strip()
        except FileNotFoundError:
            return ""
