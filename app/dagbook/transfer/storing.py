"""Writing of imported runs: each root run with its sub-runs and all output is stored in one transaction, or not at all.

Reading output inside a transaction is right here and nowhere else: nothing but this import waits for it, on SQLite
because it is the only process, on PostgreSQL because it locks new rows only; and a run must not be seen without its
output, nor a killed import leave one behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs import run_import
from dagbook.runs.output.output_follower import STDERR, STDOUT, StreamFollower, StreamOffset, StreamOptions
from dagbook.runs.secrets.masking import Masker
from dagbook.transfer.conversion import Converted, LogFile
from dagbook.transfer.report import Finding

_CHUNKS_AT_A_TIME = 4  # 1 MiB
FindLog = Callable[[str], tuple[Path | None, str]]


class StoredBatch(msgspec.Struct, kw_only=True):
    """What became of some root runs: the positions of the stored ones, their bytes of output, and findings."""

    stored: list[int] = []
    log_bytes: int = 0
    findings: list[Finding] = []


class RunStore:
    """Stores converted runs."""

    def __init__(self, database: Database, find_log: FindLog, options: StreamOptions) -> None:
        self._database = database
        self._find_log = find_log
        self._options = options

    async def store(self, batch: Sequence[Converted]) -> StoredBatch:
        """Store root runs; if they cannot be stored together, one by one, so that one bad run fails alone."""
        try:
            return await self._database.write(lambda connection: self._add(connection, batch))
        except DatabaseUnavailable:
            raise
        except (SQLAlchemyError, OSError, ValueError) as error:
            if len(batch) == 1:
                name = "{dag_name}/{run_id}".format(**batch[0].runs[0].run)
                reason = f"it cannot be stored: {str(getattr(error, 'orig', error)).partition(chr(10))[0]}"
                return StoredBatch(findings=[Finding(kind="run", name=name, outcome="left_out", reason=reason)])
        alone = StoredBatch()
        for at, one in enumerate(batch):
            found = await self.store([one])
            alone.stored += [at] * len(found.stored)
            alone.log_bytes += found.log_bytes
            alone.findings += found.findings
        return alone

    def _add(self, connection: WriteConnection, batch: Sequence[Converted]) -> StoredBatch:
        run_import.add_finished(connection, [run for converted in batch for run in converted.runs])
        done = StoredBatch(stored=list(range(len(batch))))
        for converted in batch:
            names = {run.run["id"]: "{dag_name}/{run_id}".format(**run.run) for run in converted.runs}
            for log in converted.logs:
                done.log_bytes += self._add_log(connection, log, names[log.run], done.findings)
        return done

    def _add_log(self, connection: WriteConnection, log: LogFile, name: str, findings: list[Finding]) -> int:
        """Add the output of a node; what cannot be read is a finding, and the node stays without it."""
        rows, size = list[dict[str, Any]](), 0
        ordinal = 0
        for stream, reference in ((STDOUT, log.stdout), (STDERR, log.stderr)):
            path, problem = self._find_log(reference)
            if path is None:
                if problem:
                    findings.append(
                        Finding(kind="log", name=name, outcome="left_out", reason=problem, file=reference[:300])
                    )
                continue
            for row in self._chunks(path, stream, log):
                rows.append(row | {"ordinal": ordinal})
                ordinal, size = ordinal + 1, size + row["byte_count"]
                if len(rows) >= _CHUNKS_AT_A_TIME:
                    run_import.add_chunks(connection, rows)
                    rows = []
        run_import.add_chunks(connection, rows)
        return size

    def _chunks(self, path: Path, stream: int, log: LogFile) -> Iterator[dict[str, Any]]:
        follower = StreamFollower(stream, path, StreamOffset(), None, self._options)
        while follower.pending() and (chunk := follower.take(at_end=True)) is not None:
            yield {
                "run_id": log.run,
                "attempt": log.attempt,
                "position": log.position,
                "execution": log.execution,
                "received_at": log.at,
                **msgspec.structs.asdict(chunk),
            }


def stream_options(limit: int, encoding: str) -> StreamOptions:
    """Return how output is stored: up to a limit in bytes, decoded, with nothing masked."""
    return StreamOptions(limit=limit, masker=Masker(()), encoding=encoding)
