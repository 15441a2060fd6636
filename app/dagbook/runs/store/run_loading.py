"""Loading of stored runs, for adoption, retries and queued starts, and of the log and the outputs of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from pathlib import Path

import msgspec

from dagbook.auth.audit_context import NamedRun
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import dags
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import AttemptRow, CompleteRun, EventRow, NodeRow, RunRow
from dagbook.engine.history import Change, Line, describe, step_name
from dagbook.engine.state import RunState
from dagbook.engine.status import NodeStatus
from dagbook.runs.model import AttemptOrigin, ClaimedRun, RunInputs, RunLineage
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store import row_mapping
from dagbook.spec.model import Dag
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import Loaded
from dagbook.spec.tracing import find_problem
from dagbook.unix.files import make_private_folder, open_privately

_OWN = AttemptOrigin()


class DefinitionGoneError(Exception):
    """The definition of a run was redacted."""


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run with its nodes, definition and inputs."""

    run: CompleteRun
    spec: str
    base: str
    attempt: AttemptRow
    nodes: Sequence[NodeRow]
    loaded: Loaded
    inputs: RunInputs
    last_seq: int
    lineage: RunLineage | None = None
    account_changed: bool = False  # the DAG of a sub-run has another one than when its caller gave it an environment

    @property
    def state(self) -> RunState:
        """The engine state, as far as it is stored."""
        return row_mapping.run_state(self.run, self.attempt, self.nodes)

    def claimed(
        self, *, token: int, masker: Masker, inputs: RunInputs | None = None, origin: AttemptOrigin = _OWN
    ) -> ClaimedRun:
        """Return the attempt with the inputs that it has begun with, or with others."""
        return ClaimedRun(
            key=self.run.id,
            dag_name=self.run.dag_name,
            run_id=self.run.run_id,
            attempt=self.attempt.number,
            token=token,
            definition=self.loaded.definition,
            inputs=inputs or self.inputs,
            masker=masker,
            last_seq=self.last_seq,
            queue=self.run.queue,
            origin=origin,
            lineage=self.lineage,
        )


def load(
    connection: ReadConnection, library: DefinitionCache, encrypter: Encrypter, key: int, number: int | None = None
) -> StoredRun:
    """Load an attempt of a run, by default the newest; raises DefinitionGoneError and EncryptionError.

    The account is the one that its DAG has now. A sub-run with the environment of its caller stays in the account that
    it was called under, since the environment is not for another one.
    """
    run = runs.get_complete(connection, key)
    attempt = runs.get_attempt(connection, key, number or run.attempt) if run is not None else None
    spec = runs.get_spec(connection, run.definition_hash) if run is not None else None
    if run is None or attempt is None or spec is None or spec[0] is None:
        raise DefinitionGoneError("its definition was redacted or deleted")
    lineage = None
    if run.root_id is not None:
        lineage = RunLineage(root=run.root_id, parent=run.parent_id, level=runs.get_level(connection, run.id))
    inputs, account_changed = row_mapping.read_inputs(run, encrypter), False
    if run.file_name is not None:
        run_as = dags.get_run_as(connection, run.file_name)
        account_changed = inputs.base_environment is not None and inputs.run_as != run_as
        if not account_changed:
            inputs = msgspec.structs.replace(inputs, run_as=run_as)
    return StoredRun(
        run=run,
        spec=spec[0],
        base=spec[1] or "",
        attempt=attempt,
        nodes=runs.get_complete_nodes(connection, key, attempt.number),
        loaded=read_definition(library, run, spec[0], spec[1] or ""),
        inputs=inputs,
        last_seq=runs.last_seq(connection, key),
        lineage=lineage,
        account_changed=account_changed,
    )


def claim_ended(found: StoredRun, encrypter: Encrypter, credentials: Iterable[str]) -> ClaimedRun:
    """Return an attempt for what is sent about it, with a masker that knows its secrets; raises EncryptionError."""
    masker = Masker(found.inputs.to_hide, credentials)
    masker.add_secrets(value for node in found.nodes for value in row_mapping.read_record(node, encrypter).hidden)
    return found.claimed(token=found.attempt.token, masker=masker)


def read_definition(library: DefinitionCache, run: RunRow, spec: str, base: str) -> Loaded:
    """Parse the definition of a run; for a sub-run, the called document of the text."""
    if run.root_id is not None:
        return library.get_called(spec, run.dag_name, base=base)
    return library.read(spec, override=run.dag_name, base=base)


def collect_outputs(nodes: Iterable[NodeRow], dag: Dag) -> dict[str, str]:
    """Return the outputs of steps by their keys (DAG format 1.30, 4); of two of one key the later step's counts."""
    return {
        dag.steps[node.position].output_key or output_key(node.output_name): node.output_value
        for node in sorted(nodes, key=lambda node: node.position)
        if 0 <= node.position < len(dag.steps)
        and not dag.steps[node.position].output_omit
        and node.output_name
        and node.output_value is not None
    }


def output_key(name: str) -> str:
    """Return the key of an output that names none: its parts between ``_`` in lower camel case."""
    first, *others = [part for part in name.split("_") if part] or [name]
    return first.lower() + "".join(part.capitalize() for part in others)


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What an event has that the engine did not make, and the error and the status of one that it made."""

    accepted: str | None = None
    queue: str | None = None
    step: str | None = None
    actor: str | None = None
    dequeued: int | None = None
    edited_by: str | None = None
    status: int | None = None
    error: str | None = None


_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")


def render_log(events: Iterable[EventRow], run: NamedRun, dag: Dag, zone: tzinfo) -> list[str]:
    """Render the log of a run over all its attempts as lines of ``key=value`` text (runtime 11.4)."""
    rendered: list[str] = []
    error = ""
    own = {"dag": run.dag_name, "run-id": run.run_id}
    for event in events:
        time = event.at.astimezone(zone).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        note = msgspec.convert(event.data, _Note)
        if event.position is None and note.error is not None:
            error = note.error
        for line in _lines(event, note, dag, error):
            fields = {"time": time, "level": line.level, "msg": line.message, **own, **line.attributes}
            texts = []
            for key, value in fields.items():
                text = str(value)
                texts.append(f"{key}={text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)}")
            rendered.append(" ".join(texts))
    return rendered


class RunLogFile:
    """Log of a run as a file, for steps that read ``DAG_RUN_LOG_FILE``; removed with the other files of the run."""

    def __init__(self, path: Path, run: NamedRun, dag: Dag, zone: tzinfo) -> None:
        self.path = path
        self._run = run
        self._dag = dag
        self._zone = zone

    def append(self, events: Iterable[EventRow]) -> None:
        """Append the lines of events that have just been stored."""
        lines = render_log(events, self._run, self._dag, self._zone)
        make_private_folder(self.path.parent)
        with open(self.path, "a", encoding="utf-8", opener=open_privately) as file:
            file.writelines(f"{line}\n" for line in lines)


def _lines(event: EventRow, note: _Note, dag: Dag, error: str) -> tuple[Line, ...]:
    about: dict[str, object]
    if note.accepted is not None:
        about = {"trigger": note.accepted, "queue": note.queue, "step": note.step, "actor": note.actor}
        accepted = Line("INFO", "run accepted", {name: value for name, value in about.items() if value})
        problem = find_problem(dag.otel)
        return (accepted, Line("WARN", f"run is not traced: {problem}")) if problem else (accepted,)
    if note.dequeued is not None:
        by = {"actor": note.actor} if note.actor else {}
        return (Line("INFO", "attempt taken out of its queue", {"attempt": note.dequeued, **by}),)
    if note.edited_by is not None and event.position is not None:
        status = NodeStatus(note.status or 0).label
        about = {"step": step_name(dag, event.position), "status": status, "actor": note.edited_by}
        return (Line("INFO", "status of the step was set by hand", about),)
    return describe(dag, Change(event.position, event.data), error)
