"""An export in the layout of a Dagu 1.x home: definitions, suspensions, base configuration and finished runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC
from functools import partial
from pathlib import Path

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import dags
from dagbook.db.repositories.dags import DagFilter, DagRow
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import BOTH, MAX_CHUNKS, StreamKey
from dagbook.db.repositories.runs import run_history, runs, step_details
from dagbook.db.repositories.runs.run_history import RootRun
from dagbook.db.repositories.runs.runs import CompleteRun, NodeRow
from dagbook.db.repositories.triggers import triggers
from dagbook.engine.event import HANDLER_NAMES
from dagbook.engine.plan import find_step
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.store.run_loading import read_definition, render_log
from dagbook.spec.model import Definition
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.transfer import layout, records
from dagbook.transfer.importing import Progress
from dagbook.transfer.records import ExportedAttempt, ExportedRun
from dagbook.transfer.report import Counts, ExportReport, Finding, Kind, Outcome
from dagbook.transfer.source import TransferError
from dagbook.transfer.target import HomeTarget

_AT_A_TIME, _BYTES_AT_A_TIME = 200, 64 * 1024 * 1024  # runs and output of one transaction
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_STEP, _SHORT_ID = 80, 8
_DIFFERS = "another text is there, and is not replaced; --replace does that"
_RUN_DIFFERS = "another record of this run is there, and is not replaced; --replace does that"
_NO_TRIGGERS = "Dagu has no triggers, and a token is not stored here; make a webhook there"
_REDACTED = "its text was redacted"


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an export needs of the settings, and its options."""

    base_config: Path
    with_runs: bool = True
    replace: bool = False


class HomeExport:
    """Writes a home, and fills in the report as it goes; what is there already is not written again."""

    def __init__(self, database: Database, target: HomeTarget, options: ExportOptions, report: ExportReport) -> None:
        self._database = database
        self._target = target
        self._options = options
        self._report = report
        self._library = DefinitionCache()

    async def run(self, progress: Progress) -> None:
        """Write definitions, then runs; raises DatabaseUnavailable, OSError, and for runs TransferError."""
        self._target.open()
        try:
            await self._definitions()
            for trigger in await self._database.read(triggers.find):
                self._find("trigger", trigger.name, "left_out", _NO_TRIGGERS)
            base = self._options.base_config
            if base.is_file():
                self._file("base", "base.yaml", "base.yaml", base.read_bytes(), self._report.base)
            if self._options.with_runs:
                await self._runs(progress)
        finally:
            self._target.close()

    # -- definitions -----------------------------------------------------------------------------------------------

    async def _definitions(self) -> None:
        hashes = await self._database.read(partial(dags.find_hashes, dag_filter=DagFilter()))
        names = sorted(row.file_name for row in hashes)
        for first in range(0, len(names), _AT_A_TIME):
            some = names[first : first + _AT_A_TIME]
            for row in await self._database.read(partial(dags.find_files, file_names=some)):
                self._definition(row)

    def _definition(self, row: DagRow) -> None:
        counts, suspended = self._report.definitions, self._report.suspended
        if row.spec is None:
            counts.found += 1
            counts.left_out += 1
            self._find("definition", row.file_name, "left_out", _REDACTED)
            return
        self._file("definition", row.file_name, f"dags/{row.file_name}.yaml", row.spec.encode(), counts)
        flag = f"suspend/{row.file_name}{layout.SUSPEND_SUFFIX}"
        if row.suspended:
            self._file("suspend", row.file_name, flag, b"", suspended)
        elif self._target.has(flag):
            suspended.found += 1
            suspended.differing += 1
            self._find("suspend", row.file_name, "differing", "there it is suspended, here it is not; remove", flag)

    def _file(self, kind: Kind, name: str, path: str, content: bytes, counts: Counts) -> None:
        counts.found += 1
        existing = self._target.find(path)
        if existing == content:
            counts.present += 1
        elif existing is not None and not self._options.replace:
            counts.differing += 1
            self._find(kind, name, "differing", _DIFFERS, path)
        else:
            self._target.write(path, content)
            counts.imported += 1

    def _find(self, kind: Kind, name: str, outcome: Outcome, reason: str, file: str = "") -> None:
        self._report.add([Finding(kind=kind, name=name, outcome=outcome, reason=reason, file=file)])

    # -- runs ------------------------------------------------------------------------------------------------------

    async def _runs(self, progress: Progress) -> None:
        counts = self._report.runs
        for run in await self._database.read(run_history.find_unfinished_roots):
            counts.found += 1
            counts.left_out += 1
            self._find("run", f"{run.dag_name}/{run.run_id}", "left_out", f"it is {run.status.label}; export it later")
        total, done, after = await self._database.read(run_history.count_finished), 0, 0
        while written := await self._database.snapshot(partial(self._next_runs, after)):
            after, done = written[-1].id, done + len(written)
            counts.found += len(written)
            progress(done, max(total, done))

    def _next_runs(self, after: int, connection: ReadConnection) -> Sequence[RootRun]:
        """Write the next runs, all seen at one moment; fewer if they have much output, as PostgreSQL keeps old rows."""
        written, most = list[RootRun](), self._report.stored.log_bytes + _BYTES_AT_A_TIME
        try:
            for root in run_history.find_finished_roots(connection, after, _AT_A_TIME):
                self._run(root, connection)
                self._target.discard_run()
                written.append(root)
                if self._report.stored.log_bytes >= most:
                    break
        except OSError as error:
            if error.filename is None:  # of the connection
                raise
            # Leaving the snapshot as it is, it would be taken for an error of the connection to PostgreSQL.
            raise TransferError(f"{error.filename}: {error.strerror}") from error
        return written

    def _run(self, root: RootRun, connection: ReadConnection) -> None:
        """Write a run with its sub-runs and all output."""
        counts = self._report.runs
        keys = [root.id, *run_history.find_sub_runs(connection, root.id)]
        rows = {key: row for key in keys if (row := runs.get_complete(connection, key)) is not None}
        exported = [self._exported(connection, row, rows) for row in rows.values()]
        writer = _RunWriter(connection, self._target, exported[0])
        if writer.is_there():
            counts.present += 1
            return
        if self._target.has(writer.folder) and not self._options.replace:
            counts.differing += 1
            self._find("run", f"{root.dag_name}/{root.run_id}", "differing", _RUN_DIFFERS, writer.folder)
            return
        for each in exported:
            writer.write(each)
        self._target.place_run([writer.logs, writer.folder])
        counts.imported += 1
        stored = self._report.stored
        stored.log_bytes += writer.size
        stored.sub_runs += len(exported) - 1
        stored.attempts += sum(each.run.attempt for each in exported)
        stored.steps += sum(
            not node.handler for each in exported for run in each.attempts if run.row.number for node in run.nodes
        )

    def _exported(self, connection: ReadConnection, row: CompleteRun, rows: dict[int, CompleteRun]) -> ExportedRun:
        attempts = list[ExportedAttempt]()
        for number in range(1, row.attempt + 1):
            if (found := runs.get_attempt(connection, row.id, number)) is not None:
                nodes = runs.get_nodes(connection, row.id, number)
                texts = {
                    each.position: step_details.get_summary(connection, each) for each in nodes if each.has_summary
                }
                attempts.append(ExportedAttempt(row=found, nodes=nodes, summaries=texts))
        if attempts and (waited := records.waiting_attempt(row, attempts[0])) is not None:
            attempts.insert(0, waited)
        spec, base = runs.get_spec(connection, row.definition_hash) or (None, None)
        if spec is None:
            definition: Definition = records.blank_definition(row.dag_name, attempts[-1].nodes if attempts else ())
            self._find("run", f"{row.dag_name}/{row.run_id}", "changed", f"{_REDACTED}; its steps have names only")
        else:
            definition = read_definition(self._library, row, spec, base or "").definition
        root, parent = rows[row.root_id or row.id], rows.get(row.parent_id or 0)
        return ExportedRun(
            run=row,
            attempts=attempts,
            definition=definition,
            spec=spec or "",
            root=(root.dag_name, root.run_id),
            parent=(parent.dag_name, parent.run_id) if parent else None,
        )


class _RunWriter:
    """Writes the files of one root run and its sub-runs."""

    def __init__(self, connection: ReadConnection, target: HomeTarget, root: ExportedRun) -> None:
        self._connection = connection
        self._target = target
        self._root = root
        run, at = root.run, root.run.created_at.astimezone(UTC)
        name = f"dag-run_{layout.format_stamp(at)}Z_{run.run_id}"
        runs = f"data/{layout.RUNS_FOLDER}/{layout.folder_of(run.dag_name)}/{layout.RUNS_FOLDER}"
        self.folder = f"{runs}/{at:%Y/%m/%d}/{name}"
        self.logs = f"logs/{run.dag_name}/{name}"
        self.size = 0

    def is_there(self) -> bool:
        """Whether exactly these attempts of the root run are there."""
        folder = self._target.folder / self.folder
        there = {path.name for path in folder.glob("attempt_*")}
        wanted = {self._attempt_name(self._root, attempt): attempt for attempt in self._root.attempts}
        return there == wanted.keys() and all(
            self._target.find(f"{self.folder}/{name}/{layout.STATUS_FILE}") == self._status(self._root, attempt)
            for name, attempt in wanted.items()
        )

    def write(self, exported: ExportedRun) -> None:
        """Prepare the records and the output of a run."""
        is_root = exported is self._root
        folder = self.folder if is_root else f"{self.folder}/{layout.CHILDREN_FOLDER}/child_{exported.run.run_id}"
        definition = msgspec.json.encode(records.snapshot_record(exported, f"{self._target.place}/dags"))
        for attempt in exported.attempts:
            own = f"{folder}/{self._attempt_name(exported, attempt)}"
            outputs = records.outputs_record(exported, attempt)
            self._target.prepare(f"{own}/{layout.SNAPSHOT_FILE}", [definition])
            self._target.prepare(f"{own}/{layout.STATUS_FILE}", [self._status(exported, attempt)])
            if outputs is not None:
                self._target.prepare(f"{own}/{layout.OUTPUTS_FILE}", [msgspec.json.encode(outputs)])
            self._write_logs(exported, attempt)
        events = runs.get_events(self._connection, exported.run.id)
        lines = render_log(events, exported.run, exported.definition.dag, UTC)
        self._target.prepare(self._run_log(exported), ["".join(f"{line}\n" for line in lines).encode()])

    def _status(self, exported: ExportedRun, attempt: ExportedAttempt) -> bytes:
        place = self._target.place
        logs = {
            node.position: (f"{place}/{files[0]}", f"{place}/{files[1]}")
            for node in attempt.nodes
            if (files := self._log_files(exported, node)) is not None
        }
        record = records.status_record(exported, attempt, logs, f"{place}/{self._run_log(exported)}")
        return msgspec.json.encode(record) + b"\n"

    @staticmethod
    def _attempt_name(exported: ExportedRun, attempt: ExportedAttempt) -> str:
        at = attempt.row.opened_at
        milliseconds = f"{at.microsecond // 1000:03}"
        number = attempt.row.number
        return f"attempt_{layout.format_stamp(at)}_{milliseconds}Z_{records.attempt_id(exported.run, number)}"

    def _run_log(self, exported: ExportedRun) -> str:
        return f"{self._logs_of(exported)}/dag-run.log"

    def _logs_of(self, exported: ExportedRun) -> str:
        return self.logs if exported is self._root else f"{self.logs}/{layout.CHILDREN_FOLDER}/{exported.run.run_id}"

    def _log_files(self, exported: ExportedRun, node: NodeRow) -> tuple[str, str] | None:
        """Return the files of both streams, which are one if they are merged; None for a node that never began."""
        if node.started_at is None:
            return None
        attempt = node.log_attempt or node.attempt
        name = HANDLER_NAMES.get(node.position) or f"{_UNSAFE.sub('_', node.name)[:_LONGEST_STEP]}.{node.position}"
        folder = f"{self._logs_of(exported)}/run_{attempt}_{records.attempt_id(exported.run, attempt)}"
        stem = f"{folder}/{name}.{exported.run.run_id[:_SHORT_ID]}"
        dag = exported.definition.dag
        if dag.merges_logs(find_step(dag, node.position)):
            return f"{stem}.log", f"{stem}.log"
        return f"{stem}.out", f"{stem}.err"

    def _write_logs(self, exported: ExportedRun, attempt: ExportedAttempt) -> None:
        for node in attempt.nodes:
            files = self._log_files(exported, node)
            if files is None or node.log_attempt:  # that of a kept node was written with its attempt
                continue
            streams: Sequence[tuple[str, int]] = tuple(zip(files, (STDOUT, STDERR), strict=True))
            if files[0] == files[1]:
                streams = ((files[0], BOTH),)
            for file, stream in streams:
                key = StreamKey(exported.run.id, node.attempt, node.position, stream)
                self.size += self._target.prepare(file, self._texts(key))

    def _texts(self, key: StreamKey) -> Iterator[bytes]:
        seq = 0
        while texts := logs.find_texts(self._connection, key, seq):
            yield "".join(texts).encode()
            seq += len(texts)
            if len(texts) < MAX_CHUNKS:
                return
