"""Writing of imported runs: each root run with its sub-runs and all output is stored in one transaction, or not at all.

Files of output are found, or fetched from a server, before the transaction begins: PostgreSQL ends one that is idle for
five seconds. They are read inside of it, which is right here and nowhere else: a run must not be seen without its
output, nor a killed import leave one behind. The live feed of servers on PostgreSQL waits for the oldest transaction,
so runs with much output are stored in several.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import msgspec

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import UNSTORABLE, Conflict, DatabaseUnavailable
from dagbook.db.repositories.runs import run_import
from dagbook.db.repositories.runs.run_import import ImportedRun
from dagbook.db.repositories.runs.run_rows import NewChunk
from dagbook.runs.output.output_follower import STDERR, STDOUT, StreamFollower, StreamOffset, StreamOptions
from dagbook.transfer.conversion.converter import Converted, LogFile
from dagbook.transfer.report import Finding

_CHUNKS_AT_A_TIME = 4  # 1 MiB
_BYTES_AT_A_TIME = 32 * 1024 * 1024  # of output: a second's work
FindLog = Callable[[str, Path], tuple[Path | None, str]]


class StoredBatch(msgspec.Struct, kw_only=True):
    """What became of some root runs: the stored ones, their bytes of output, and findings."""

    stored: list[Converted] = []
    log_bytes: int = 0
    findings: list[Finding] = []


class _Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A root run with the files of its output by reference, what is wrong with others, and their size in bytes."""

    run: Converted
    files: Mapping[str, Path]
    findings: Sequence[Finding]
    size: int

    @property
    def name(self) -> str:
        return _name(self.run.runs[0])


class RunStore:
    """Stores converted runs."""

    def __init__(self, database: Database, find_log: FindLog, options: StreamOptions) -> None:
        self._database = database
        self._find_log = find_log
        self._options = options

    async def store(self, batch: Sequence[Converted]) -> StoredBatch:
        """Store root runs, several in a transaction unless they have much output; raises DatabaseUnavailable."""
        done, left = StoredBatch(), list(reversed(batch))
        while left:
            with tempfile.TemporaryDirectory(prefix="dagbook-import-") as folder:
                group, size = list[_Ready](), 0
                while left and size < _BYTES_AT_A_TIME:
                    group.append(self._locate(left.pop(), Path(folder)))
                    size += group[-1].size
                await self._store(group, done)
        return done

    def _locate(self, run: Converted, folder: Path) -> _Ready:
        """Find the files of the output of a run, which may be fetched to a folder."""
        names = {each.run.id: _name(each) for each in run.runs}
        files, findings = dict[str, Path](), list[Finding]()
        for log in run.logs:
            for reference in (log.stdout, log.stderr):
                if reference in files:
                    continue
                path, problem = self._find_log(reference, folder)
                if path is not None:
                    files[reference] = path
                elif problem:
                    findings.append(_lost(names[log.run], problem, reference))
        sizes = (self._follow(STDOUT, path).pending() for path in files.values())
        size = sum(min(size, self._options.limit) for size in sizes)
        return _Ready(run=run, files=files, findings=findings, size=size)

    def _follow(self, stream: int, path: Path) -> StreamFollower:
        return StreamFollower(stream, path, StreamOffset(), None, self._options)

    async def _store(self, group: Sequence[_Ready], done: StoredBatch) -> None:
        """Store root runs; if they cannot be stored together, one by one, so that one bad run fails alone."""
        try:
            size, findings = await self._database.write(self._add, group)
        except DatabaseUnavailable:
            raise
        except (Conflict, *UNSTORABLE) as error:
            if len(group) > 1:
                for each in group:
                    await self._store([each], done)
                return
            reason = f"it cannot be stored: {str(getattr(error, 'orig', error)).partition(chr(10))[0]}"
            done.findings.append(Finding(kind="run", name=group[0].name, outcome="left_out", reason=reason))
            return
        done.stored += [each.run for each in group]
        done.log_bytes += size
        done.findings += [finding for each in group for finding in each.findings]
        done.findings += findings

    def _add(self, connection: WriteConnection, group: Sequence[_Ready]) -> tuple[int, list[Finding]]:
        """Add runs with their output; returns the bytes of output, and what of it cannot be read."""
        run_import.add_finished(connection, [run for each in group for run in each.run.runs])
        size, findings = 0, list[Finding]()
        for each in group:
            for log in each.run.logs:
                rows, ordinals = list[NewChunk](), count()
                for output in ((STDOUT, log.stdout), (STDERR, log.stderr)):
                    for row in self._chunks(each, log, output, ordinals, findings):
                        rows.append(row)
                        size += row.byte_count
                        if len(rows) >= _CHUNKS_AT_A_TIME:
                            run_import.add_chunks(connection, rows)
                            rows = []
                run_import.add_chunks(connection, rows)
        return size, findings

    def _chunks(
        self,
        ready: _Ready,
        log: LogFile,
        output: tuple[int, str],
        ordinals: Iterator[int],
        findings: list[Finding],
    ) -> Iterator[NewChunk]:
        """Yield the chunks of a file; what cannot be read is a finding, and the node stays without it."""
        stream, reference = output
        if (path := ready.files.get(reference)) is None:
            return
        follower = self._follow(stream, path)
        try:
            while follower.pending() and (chunk := follower.take(at_end=True)) is not None:
                yield chunk.row(
                    run=log.run,
                    attempt=log.attempt,
                    position=log.position,
                    execution=log.execution,
                    ordinal=next(ordinals),
                    at=log.at,
                )
        except OSError as error:
            findings.append(_lost(ready.name, f"it cannot be read: {error.strerror}", reference))


def _name(run: ImportedRun) -> str:
    return f"{run.run.dag_name}/{run.run.run_id}"


def _lost(name: str, reason: str, reference: str) -> Finding:
    return Finding(kind="log", name=name, outcome="left_out", reason=reason, file=reference)
