"""Records of a run in a Dagu 1.x home, turned into the rows of Dagbook. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath

import msgspec

from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.repositories.runs.run_import import ImportedRun
from dagbook.db.repositories.runs.run_rows import ImportedRunRow, InputRow, NewAttemptRow, NewEvent, NewSummary
from dagbook.db.repositories.runs.runs import NodeRow
from dagbook.engine.event import ABORT, EXIT, FAILURE, HANDLER_NAMES, INIT, SUCCESS, WAIT
from dagbook.engine.plan import Plan
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import check_dag_name, check_queue, check_run_id
from dagbook.runs.store import row_mapping
from dagbook.spec.model import Pair
from dagbook.spec.params import param_text
from dagbook.spec.reading.definition_cache import hash_of
from dagbook.transfer.conversion.history import record_history
from dagbook.transfer.conversion.nodes import RAN, RESTED, WAITED, ConvertedNode
from dagbook.transfer.conversion.texts import RunText, Shape, TextChooser
from dagbook.transfer.layout import NodeRecord, RecordError, SnapshotRecord, StatusRecord, read_time

TRIGGER = "import"
_MOST_ATTEMPTS, _MOST_NODES = 1_000, 10_000
_KEY_BITS = 22
_EPOCH_MILLISECONDS = 41

# By the source's number: the status here, and the reason if the run had not ended.
_STATUSES: Mapping[int, tuple[RunStatus, str]] = {
    0: (RunStatus.ABORTED, WAITED),
    1: (RunStatus.FAILED, RAN),
    2: (RunStatus.FAILED, ""),
    3: (RunStatus.ABORTED, ""),
    4: (RunStatus.SUCCEEDED, ""),
    5: (RunStatus.ABORTED, WAITED),
    6: (RunStatus.PARTIALLY_SUCCEEDED, ""),
    7: (RunStatus.ABORTED, RESTED),
    8: (RunStatus.FAILED, ""),
}
_QUEUED = (0, 5)


class SourceAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as it was read; ``file`` names where it is for messages."""

    opened_at: datetime
    status: StatusRecord
    snapshot: SnapshotRecord = SnapshotRecord()
    file: str = ""


class SourceRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its attempts, oldest first, and, at a root, all sub-runs of any depth."""

    name: str
    run_id: str
    attempts: tuple[SourceAttempt, ...]
    file: str = ""
    queue: str = ""
    children: tuple[SourceRun, ...] = ()

    @property
    def last(self) -> SourceAttempt:
        return self.attempts[-1]


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """Output of a node: the run's key, and the names of its files in the source."""

    run: int
    attempt: int
    position: int
    execution: int
    stdout: str
    stderr: str
    at: datetime


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a root run and its sub-runs, callers first, the files of their output, and notes on what was changed."""

    runs: Sequence[ImportedRun]
    logs: Sequence[LogFile]
    notes: Sequence[str] = ()
    lost: Sequence[tuple[str, str]] = ()  # sub-runs that could not be converted: file and reason


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What conversions need of definitions: revisions by file name and hash of the text, folders of definitions."""

    revisions: Mapping[tuple[str, str], int] = {}
    dag_folder: str = "dags"


class Converter:
    """Converts the runs of one source."""

    def __init__(self, chooser: TextChooser, known: Known) -> None:
        self._chooser = chooser
        self._known = known
        self._taken: set[int] = set()

    def convert(self, run: SourceRun, avoid: Collection[int] = ()) -> Converted:
        """Convert a root run with its sub-runs, with none of the keys in ``avoid``.

        Raises RecordError if the root run cannot be converted.
        """
        self._taken = set(avoid)
        root = self._one(run, "", None, None)
        made, lost = [root], list[tuple[str, str]]()
        keys = {run.run_id: root.run.run.id}
        for child in _callers_first(run):
            parent = child.last.status.parent
            caller = keys.get(parent.id if parent else "", keys[run.run_id])
            try:
                found = self._one(child, run.run_id, keys[run.run_id], caller)
            except RecordError as error:
                lost.append((child.file, str(error)))
                continue
            keys[child.run_id] = found.run.run.id
            made.append(found)
        return Converted(
            runs=[each.run for each in made],
            logs=[log for each in made for log in each.logs],
            notes=[note for each in made for note in each.notes],
            lost=lost,
        )

    def _one(self, source: SourceRun, root_name: str, root: int | None, parent: int | None) -> _One:
        try:
            check_dag_name(source.name, "name")
            check_run_id(source.run_id)
            check_queue(source.queue or source.last.snapshot.queue)
        except BadRequestError as error:
            raise RecordError(str(error)) from error
        key = key_of(source, root_name)
        while key in self._taken:
            key += 1
        self._taken.add(key)
        attempts = _significant(source.attempts)
        last = attempts[-1]
        nodes = last.status.nodes or []
        if len(attempts) > _MOST_ATTEMPTS or len(nodes) > _MOST_NODES:
            raise RecordError("it has more attempts or steps than a run can have")
        text = self._text(source, last, root)
        converting = _Attempts(key, source, text)
        for number, attempt in enumerate(attempts, 1):
            converting.add(number, attempt)
        definition = DefinitionRow.of(text.spec, text.base, source.attempts[0].opened_at)
        params, state = read_params(last.status), converting.state
        file_name, revision = self._origin(last, text)
        row = ImportedRunRow(
            id=key,
            dag_name=source.name,
            run_id=source.run_id,
            definition_hash=definition.hash,
            file_name=file_name,
            dag_revision=revision,
            queue=source.queue or last.snapshot.queue or text.dag.queue or source.name,
            root_id=root,
            parent_id=parent,
            trigger=TRIGGER,
            actor=None,
            params=params,
            params_text=param_text.format_pairs(params),
            tags=text.dag.tags,
            status=state.status,
            attempt=len(attempts),
            created_at=source.attempts[0].opened_at,
            queued_at=read_time(last.status.queued_at, "queuedAt"),
            max_active_runs=text.dag.max_active_runs,
            started_at=state.started_at,
            finished_at=state.finished_at,
            error=state.error or None,
        )
        return _One(run=converting.finish(row, definition), logs=converting.logs, notes=converting.notes)

    def _text(self, source: SourceRun, last: SourceAttempt, root: int | None) -> RunText:
        handlers = handlers_of(last.status)
        nodes = [*(last.status.nodes or ()), *handlers.values()]
        shape = Shape(
            steps=tuple(node.step.name for node in last.status.nodes or ()), handlers=frozenset(handlers) - {WAIT}
        )
        if len(set(shape.steps)) != len(shape.steps):
            raise RecordError("two of its steps have the same name")
        spec = last.snapshot.text
        return self._chooser.choose(
            spec, source.name, shape, [node.step for node in nodes], is_sub_run=root is not None
        )

    def _origin(self, last: SourceAttempt, text: RunText) -> tuple[str, int] | tuple[None, None]:
        """Return the file name and revision of the stored DAG that a run was started from, if its file is one."""
        location = PurePosixPath(last.snapshot.location)
        revision = self._known.revisions.get((location.stem, hash_of(text.spec)))
        if revision is None or location.parent.name != self._known.dag_folder:
            return None, None
        return location.stem, revision


class _One(msgspec.Struct, frozen=True, kw_only=True):
    """A converted run alone."""

    run: ImportedRun
    logs: Sequence[LogFile]
    notes: Sequence[str]


def keys_of(run: SourceRun) -> list[int]:
    """Return the keys that a root run and its sub-runs get, unless others have them."""
    return [key_of(run, ""), *(key_of(child, run.run_id) for child in run.children)]


def key_of(source: SourceRun, root: str) -> int:
    """Return the key of an imported run, which is the same in every import: by its time and its names.

    ``root`` is the id of its root run, empty for a root run itself.
    """
    digest = hashlib.sha256(f"{root}/{source.name}/{source.run_id}".encode()).digest()
    milliseconds = int(source.attempts[0].opened_at.timestamp() * 1000) % (1 << _EPOCH_MILLISECONDS)
    return (milliseconds << _KEY_BITS) | (int.from_bytes(digest[:4]) >> (32 - _KEY_BITS))


def handlers_of(status: StatusRecord) -> dict[int, NodeRecord]:
    """Return the recorded handlers by key."""
    found = {
        INIT: status.on_init,
        SUCCESS: status.on_success,
        FAILURE: status.on_failure,
        ABORT: status.on_cancel,
        EXIT: status.on_exit,
        WAIT: status.on_wait,
    }
    return {key: node for key, node in found.items() if node is not None}


def read_params(status: StatusRecord) -> list[Pair]:
    """Return the params of a run; older records have them in one text only."""
    if status.params_list is None:
        return list(param_text.tokenise(status.params))
    pairs = []
    for number, text in enumerate(status.params_list, 1):
        name, equals, value = text.partition("=")
        pairs.append(Pair(name, value) if equals and name else Pair(str(number), text))
    return pairs


def final_status(status: StatusRecord) -> tuple[RunStatus, str]:
    """Return the status of a run here, and why it is not the recorded one; raises RecordError."""
    if status.status not in _STATUSES:
        raise RecordError(f"its status {status.status} is unknown")
    return _STATUSES[status.status]


def count_attempts(run: SourceRun) -> int:
    """Return the number of attempts that a run has here."""
    return len(_significant(run.attempts))


def _significant(attempts: Sequence[SourceAttempt]) -> list[SourceAttempt]:
    """Leave out attempts that only waited in a queue: here a run that waited and its start are one attempt."""
    return [each for each in attempts[:-1] if each.status.status not in _QUEUED] + [attempts[-1]]


def _callers_first(root: SourceRun) -> list[SourceRun]:
    """Sort sub-runs so that each comes after its caller; those without one come last."""
    below: dict[str, list[SourceRun]] = {}
    for child in root.children:
        parent = child.last.status.parent
        below.setdefault(parent.id if parent else root.run_id, []).append(child)
    ordered, callers = list[SourceRun](), [root.run_id]
    while callers:
        found = below.pop(callers.pop(), [])
        ordered += found
        callers += [child.run_id for child in found]
    return ordered + [child for left in below.values() for child in left]


class _Attempts:
    """Converts the attempts of one run in order."""

    def __init__(self, key: int, source: SourceRun, text: RunText) -> None:
        self._key = key
        self._source = source
        self._text = text
        self._plan = Plan.of(text.dag)
        self._names = {
            **{at: step.name for at, step in enumerate(text.dag.steps)},
            **{handler: HANDLER_NAMES[handler] for handler in self._plan.handlers},
        }
        self._called = {child.run_id: child.name for child in source.children}
        self._files: dict[tuple[int, str], int] = {}  # position and output file -> attempt that wrote it
        self._rows: list[NewAttemptRow] = []
        self._nodes: list[NodeRow] = []
        self._events: list[NewEvent] = []
        self._summaries: list[NewSummary] = []
        self.state = RunState()
        self.logs: list[LogFile] = []
        self.notes: list[str] = []

    def add(self, number: int, attempt: SourceAttempt) -> None:
        """Convert an attempt; raises RecordError."""
        status, reason = final_status(attempt.status)
        records = dict(enumerate(attempt.status.nodes or ()))
        by_name = {node.step.name: node for node in records.values()} | {
            HANDLER_NAMES[key]: node for key, node in handlers_of(attempt.status).items()
        }
        if reason:
            self.notes.append(f"{self._source.name}/{self._source.run_id}: {reason}")
        started_at = read_time(attempt.status.started_at, "startedAt")
        nodes = {key: ConvertedNode.read(by_name.get(name), started_at) for key, name in self._names.items()}
        finished_at = self._end_of(attempt, nodes.values())
        states = {key: node.state_until(finished_at) for key, node in nodes.items()}
        kept = dict[int, int]()
        for key, node in nodes.items():
            # What a retry did not run again names the output of the attempt that ran it.
            if node.record is not None and node.record.stdout and node.state.status.is_final:
                writer = self._files.setdefault((key, node.record.stdout), number)
                kept |= {key: writer} if writer != number else {}
        final = self._final(attempt, status, reason, (started_at, finished_at), states)
        self._add_history(number, attempt, final, kept)
        self._rows.append(
            NewAttemptRow(
                run_id=self._key,
                number=number,
                status=final.status,
                opened_at=attempt.opened_at,
                state=row_mapping.attempt_state(final),
                closed_at=finished_at,
            )
        )
        for key, node in nodes.items():
            self._add_node(number, key, node, states[key], kept.get(key))
        self.state = final

    def _end_of(self, attempt: SourceAttempt, nodes: Iterable[ConvertedNode]) -> datetime:
        """Return the end of an attempt; of one that had not ended the last time that is known."""
        ended_at = read_time(attempt.status.finished_at, "finishedAt")
        _, reason = final_status(attempt.status)
        known = [at for node in nodes for at in (node.state.started_at, node.state.finished_at) if at is not None]
        started_at = read_time(attempt.status.started_at, "startedAt")
        if ended_at is None or reason:
            known.append(attempt.opened_at.replace(microsecond=0))
            return max(known if started_at is None else [*known, started_at])
        if started_at is not None and ended_at < started_at:
            self.notes.append(f"{attempt.file}: its end is before its start, which is taken instead")
            return started_at
        late = max(known, default=ended_at)
        if late > ended_at:
            self.notes.append(f"{attempt.file}: a step ended after its run; the end of the step is taken for both")
        return max(ended_at, late)

    def _final(
        self,
        attempt: SourceAttempt,
        status: RunStatus,
        reason: str,
        times: tuple[datetime | None, datetime],
        states: Mapping[int, NodeState],
    ) -> RunState:
        failed = [key for key in sorted(states) if states[key].status is NodeStatus.FAILED]
        error_key = failed[-1] if failed and status is RunStatus.FAILED else None
        conditions = tuple(condition.error for condition in attempt.status.preconditions or ())
        return RunState(
            status=status,
            phase=Phase.CLOSED,
            steps=tuple(states[key] for key in sorted(states) if key >= 0),
            handlers={key: state for key, state in states.items() if key < 0},
            outcome=status,
            error=reason or (states[error_key].error if error_key is not None else ""),
            error_key=error_key,
            started_at=times[0],
            finished_at=times[1],
            conditions=conditions if any(conditions) else (),
        )

    def _add_history(self, number: int, attempt: SourceAttempt, final: RunState, kept: Mapping[int, int]) -> None:
        opened_at, seq = attempt.opened_at, len(self._events)
        if number == 1:
            self._events.append(row_mapping.accepted_event(self._key, opened_at, TRIGGER, None))
        else:
            again = row_mapping.retried_event(self._key, opened_at, seq=seq + 1, attempt=number, actor=None, step=None)
            self._events.append(again)
        for at, change in record_history(final, kept, opened_at):
            seq = len(self._events)
            self._events += row_mapping.event_rows(self._key, number, seq, [change], at)

    def _add_node(self, number: int, key: int, node: ConvertedNode, state: NodeState, kept: int | None) -> None:
        change = row_mapping.node_change(self._key, number, key, state, node.stored(self._called))
        row = row_mapping.new_node(change, self._names[key], kept)
        succeeded = self._source.last.status.status == RunStatus.SUCCEEDED and number == count_attempts(self._source)
        if state.status is NodeStatus.NOT_STARTED and key >= 0 and succeeded:  # only by hand can a run end like this
            row = msgspec.structs.replace(row, edited_at=self._source.last.opened_at, edited_by=TRIGGER)
        self._nodes.append(row)
        if row.has_summary and not kept:
            summary = NewSummary(run_id=self._key, attempt=number, position=key, text=node.summary)
            self._summaries.append(summary)
        record = node.record
        if record is None or kept or not state.execution or state.finished_at is None:
            return
        is_merged = record.stdout == record.stderr
        self.logs.append(
            LogFile(
                run=self._key,
                attempt=number,
                position=key,
                execution=state.execution,
                stdout=record.stdout,
                stderr="" if is_merged else record.stderr,
                at=state.finished_at,
            )
        )

    def finish(self, row: ImportedRunRow, definition: DefinitionRow) -> ImportedRun:
        """Return the rows of the run; ``row`` is that of the run itself."""
        text, source, snapshot = self._text, self._source, self._source.last.snapshot
        if text.made:
            self.notes.append(f"{source.name}/{source.run_id}: its definition was made from its steps: {text.made}")
        return ImportedRun(
            run=row,
            definition=definition,
            inputs=InputRow(
                run_id=row.id,
                params=row.params,
                env=[Pair(*pair.split("=", 1)) for pair in snapshot.env or () if "=" in pair],
                dotenv=(),
                work_dir=snapshot.working_dir,
                keep_dir=True,
            ),
            attempts=self._rows,
            nodes=self._nodes,
            events=self._events,
            summaries=self._summaries,
            errors=row_mapping.errors_of(self.state),
        )
