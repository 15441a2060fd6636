"""Mapping of engine state to rows and back; columns with secrets are masked for readers and stored encrypted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from dagbook.db.repositories.alerts import run_mails
from dagbook.db.repositories.alerts.run_mails import NewRunMail
from dagbook.db.repositories.runs.run_rows import (
    AttemptChange,
    EvaluatedInputs,
    InputRow,
    NewEvent,
    NewSecretUse,
    RunChange,
)
from dagbook.db.repositories.runs.runs import AttemptRow, CompleteRun, NodeChange, NodeRow
from dagbook.db.repositories.runs.search_index import error_text
from dagbook.engine import event
from dagbook.engine.history import Change
from dagbook.engine.state import NodeState, RunState
from dagbook.identifiers import new_run_id
from dagbook.json_values import Json, JsonObject
from dagbook.runs import trace_context
from dagbook.runs.model import ClaimedRun, RunInputs
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.secrets.masking import MASK, Masker
from dagbook.spec.model import Pair
from dagbook.spec.params import param_text

_NODE_COLUMNS = (
    "execution",
    "started_at",
    "finished_at",
    "executed_at",
    "due_at",
    "retried_at",
    "retry_count",
    "done_count",
    "repeated",
    "exit_code",
    "error",
)
_NODE_DETAIL = (
    *("checking", "kill", "tolerated", "verdict", "retry_limit", "retry_interval_seconds", "conditions"),
    "decided_by",
)
_RUN_DETAIL = (
    "phase",
    "only",
    "status_before",
    "cancelled",
    "error_key",
    "outcome",
    "stop_asked_at",
    "signalled_at",
    "killed_at",
    "timed_out",
    "next_pick_at",
    "rested_at",
    "rested_seconds",
    "conditions",
)
_LONGEST_RECEIVER, _NO_RECEIVER = 200, "traces"  # of one that is known when the trace is sent
_BLANK_NODE, _BLANK_RUN = NodeState(), RunState()


class NodeRecord(msgspec.Struct, kw_only=True):
    """Stored data of a node beside the engine state."""

    output_name: str | None = None
    output_value: str | None = None
    pid: int | None = None
    pid_started: int | None = None
    spool: str | None = None
    shown: dict[str, Any] | None = None
    sub_runs: dict[str, Any] | None = None
    approval: dict[str, Any] | None = None  # what a step asks, or asked, and what was decided
    ran: JsonObject | None = None  # how its last execution was carried out, masked
    has_summary: bool = False
    hidden: tuple[str, ...] = ()  # secret values in the outputs of sub-runs; only stored encrypted


_RECORD_COLUMNS = tuple(name for name in NodeRecord.__struct_fields__ if name != "hidden")


def node_change(run: int, attempt: int, key: int, state: NodeState, records: NodeRecord) -> NodeChange:
    """Make the changeable columns of a node."""
    return NodeChange(
        run_id=run,
        attempt=attempt,
        position=key,
        status=state.status,
        detail=_changed(state, _BLANK_NODE, _NODE_DETAIL) or None,
        output_sealed=None,
        **{name: getattr(state, name) for name in _NODE_COLUMNS},
        **{name: getattr(records, name) for name in _RECORD_COLUMNS},
    )


def new_node(change: NodeChange, name: str, log_attempt: int | None = None) -> NodeRow:
    """Make the row of a node that is added; ``log_attempt`` is the attempt that ran it, if this one does not."""
    changeable = {field: getattr(change, field) for field in NodeChange.__struct_fields__}
    return NodeRow(
        **changeable, name=name, handler=change.position < 0, log_attempt=log_attempt, edited_at=None, edited_by=None
    )


def _changed(state: msgspec.Struct, blank: msgspec.Struct, names: Sequence[str]) -> dict[str, Any]:
    changed = {name: value for name in names if (value := getattr(state, name)) != getattr(blank, name)}
    found: dict[str, Any] = msgspec.to_builtins(changed)
    return found


def attempt_state(state: RunState) -> dict[str, Any]:
    """Make the stored state of an attempt, without its nodes."""
    return _changed(state, _BLANK_RUN, _RUN_DETAIL)


def attempt_change(run: int, attempt: int, state: RunState, closed_at: datetime | None) -> AttemptChange:
    """Make the changeable columns of an attempt."""
    return AttemptChange(
        run_id=run, number=attempt, status=state.status, state=attempt_state(state), closed_at=closed_at
    )


def run_change(run: int, state: RunState) -> RunChange:
    """Make the changeable columns of a run."""
    return RunChange(
        id=run,
        status=state.status,
        started_at=state.started_at,
        finished_at=state.finished_at,
        error=state.error or None,
    )


def errors_of(state: RunState) -> str:
    """Return the error texts of a finished attempt, for the search; empty if there are none."""
    nodes = (*state.steps, *state.handlers.values())
    return error_text(state.error, [node.error for node in nodes])


def event_rows(run: int, attempt: int, last_seq: int, changes: Sequence[Change], at: datetime) -> list[NewEvent]:
    """Make the next event rows of a run, numbered after ``last_seq``."""
    return [
        NewEvent(run_id=run, seq=last_seq + number, attempt=attempt, at=at, position=change.key, data=change.fields)
        for number, change in enumerate(changes, 1)
    ]


def node_state(row: NodeRow) -> NodeState:
    """Read the engine state of a node from its row."""
    fields = {name: getattr(row, name) for name in _NODE_COLUMNS}
    detail = msgspec.convert(row.detail or {}, type=NodeState)
    fields.update({name: getattr(detail, name) for name in _NODE_DETAIL})
    return NodeState(status=row.status, **fields)


def node_record(row: NodeRow) -> NodeRecord:
    """Read the record of a node from its row, without decryption."""
    return NodeRecord(**{name: getattr(row, name) for name in _RECORD_COLUMNS})


def run_state(run: CompleteRun, attempt: AttemptRow, nodes: Sequence[NodeRow]) -> RunState:
    """Read the engine state of an attempt from its rows."""
    detail = msgspec.convert(attempt.state or {}, type=RunState)
    states = {row.position: node_state(row) for row in nodes}
    return msgspec.structs.replace(
        detail,
        status=run.status,
        started_at=run.started_at,
        finished_at=run.finished_at,
        error=run.error or "",
        steps=tuple(states[key] for key in sorted(states) if key >= 0),
        handlers={key: state for key, state in states.items() if key < 0},
    )


def retried_event(run: int, at: datetime, *, seq: int, attempt: int, actor: str | None, step: str | None) -> NewEvent:
    """Make the first event of a later attempt: the run, or one step of it, is retried."""
    return _event_of_run(run, at, seq, attempt, accepted="retry", step=step, actor=actor)


def dequeued_event(run: int, at: datetime, *, seq: int, attempt: int, actor: str | None) -> NewEvent:
    """Make the event that an attempt was dequeued before it started."""
    return _event_of_run(run, at, seq, attempt, dequeued=attempt, actor=actor)


def accepted_event(run: int, at: datetime, trigger: str, actor: str | None) -> NewEvent:
    """Make the first event of a run: it was accepted, with trigger and actor."""
    return _event_of_run(run, at, 1, 1, accepted=trigger, actor=actor)


def _event_of_run(run: int, at: datetime, seq: int, attempt: int, **data: str | int | None) -> NewEvent:
    known: dict[str, Json] = {name: value for name, value in data.items() if value not in (None, "")}
    return NewEvent(run_id=run, seq=seq, attempt=attempt, at=at, position=None, data=known)


_INPUT_COLUMNS = (
    *("params", "params_json", "env", "dotenv", "work_dir", "keep_dir", "source_directory", "base_environment"),
    *("pending", "run_as", "variables"),
)
_CALLS = ("current", "earlier")
_LONGEST_KEY = 300  # characters in an index, whose rows PostgreSQL limits to 2,704 bytes
_HIDDEN = MASK.decode()


class _NodeSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Encrypted part of a node."""

    output_value: str | None = None
    sub_runs: dict[str, Any] | None = None
    hidden: tuple[str, ...] = ()


# -- inputs ----------------------------------------------------------------------------------------------------------


def input_row(run: ClaimedRun, encrypter: Encrypter) -> InputRow:
    """Make the row of the inputs of a run; raises EncryptionError."""
    inputs = run.inputs
    masked = _hide_dotenv(mask_inputs(inputs, run.masker))
    sealed = None
    if masked != inputs or inputs.to_hide:
        sealed = encrypter.encrypt(msgspec.json.encode(inputs), _inputs_context(run.key))
    return InputRow(run_id=run.key, sealed=sealed, **{name: getattr(masked, name) for name in _INPUT_COLUMNS})


def _hide_dotenv(inputs: RunInputs) -> RunInputs:
    """Leave only the names of what dotenv files of the run and of its callers say."""
    base = inputs.base_environment
    if base is not None and inputs.base_sealed:
        base = {name: _HIDDEN if name in inputs.base_sealed else value for name, value in base.items()}
    dotenv = tuple(Pair(pair.name, _HIDDEN) for pair in inputs.dotenv)
    return msgspec.structs.replace(inputs, dotenv=dotenv, base_environment=base)


def evaluated_inputs(run: ClaimedRun, encrypter: Encrypter) -> EvaluatedInputs:
    """Make the columns of inputs that were evaluated; raises EncryptionError."""
    inputs = input_row(run, encrypter)
    return EvaluatedInputs(inputs, param_text.format_pairs(inputs.params), secret_uses(run))


def secret_uses(run: ClaimedRun) -> list[NewSecretUse]:
    """Make the rows of the secrets that an attempt begins with; none while its inputs are pending."""
    rows = {
        use.secret.name[:_LONGEST_KEY]: NewSecretUse(
            run_id=run.key,
            attempt=run.attempt,
            name=use.secret.name[:_LONGEST_KEY],
            provider=use.secret.provider,
            key=use.secret.key[:_LONGEST_KEY],
            version=use.version,
        )
        for use in (() if run.inputs.pending else run.uses)
    }
    return list(rows.values())


def mask_inputs(inputs: RunInputs, masker: Masker) -> RunInputs:
    """Mask secret values in the inputs of a run."""
    if not masker:
        return inputs
    base, pending = inputs.base_environment, inputs.pending
    return msgspec.structs.replace(
        inputs,
        params=_mask_pairs(inputs.params, masker),
        params_json=inputs.params_json and masker.mask(inputs.params_json),
        env=_mask_pairs(inputs.env, masker),
        dotenv=_mask_pairs(inputs.dotenv, masker),
        variables=_mask_pairs(inputs.variables, masker),
        work_dir=masker.mask(inputs.work_dir),
        source_directory=masker.mask(inputs.source_directory) if inputs.source_directory else None,
        base_environment={name: masker.mask(value) for name, value in base.items()} if base is not None else None,
        pending=pending
        and msgspec.structs.replace(
            pending, params=masker.mask(pending.params), pairs=pending.pairs and _mask_pairs(pending.pairs, masker)
        ),
    )


def read_inputs(row: CompleteRun, encrypter: Encrypter) -> RunInputs:
    """Read the inputs of a run from its row; raises EncryptionError."""
    if row.sealed is not None:
        return msgspec.json.decode(encrypter.decrypt(row.sealed, _inputs_context(row.id)), type=RunInputs)
    values = {name: getattr(row, name) for name in _INPUT_COLUMNS}
    return msgspec.convert(values | {"variables": row.variables or ()}, type=RunInputs)


def trace_rows(
    run: tuple[int, int], variables: Iterable[Pair], receiver: str, at: datetime, *, is_root: bool
) -> list[NewRunMail]:
    """Make the row of the trace that is sent when an attempt ends, (key of its run, number); none for most."""
    if not trace_context.sends(variables, run[0], is_root=is_root):
        return []
    return [run_mails.new_trace(new_run_id(), run, receiver[:_LONGEST_RECEIVER] or _NO_RECEIVER, at)]


def _inputs_context(run: int) -> str:
    return f"inputs/{run}"


def _mask_pairs(pairs: Iterable[Pair], masker: Masker) -> tuple[Pair, ...]:
    return tuple(Pair(pair.name, masker.mask(pair.value)) for pair in pairs)


# -- nodes -----------------------------------------------------------------------------------------------------------


def redact_node(row: NodeChange, hidden: tuple[str, ...], masker: Masker, encrypter: Encrypter) -> NodeChange:
    """Mask secret values in the row of a node, and encrypt the originals for its runner; raises EncryptionError."""
    output_value, sub_runs = mask_tree(row.output_value, masker), _mask_calls(row.sub_runs, masker)
    originals = _NodeSecrets(
        output_value=row.output_value if output_value != row.output_value else None,
        sub_runs=row.sub_runs if sub_runs != row.sub_runs else None,
        hidden=hidden,
    )
    sealed = None
    if originals != _NodeSecrets():
        sealed = encrypter.encrypt(msgspec.json.encode(originals), _node_context(row.run_id, row.position))
    return msgspec.structs.replace(
        row,
        output_value=output_value,
        shown=mask_tree(row.shown, masker),
        approval=mask_tree(row.approval, masker),
        ran=mask_tree(row.ran, masker),
        sub_runs=sub_runs,
        output_sealed=sealed,
    )


def read_record(row: NodeRow, encrypter: Encrypter) -> NodeRecord:
    """Read the record of a node from its row, decrypted; raises EncryptionError."""
    records = node_record(row)
    if row.output_sealed is None:
        return records
    originals = msgspec.json.decode(
        encrypter.decrypt(row.output_sealed, _node_context(row.run_id, row.position)), type=_NodeSecrets
    )
    return msgspec.structs.replace(
        records,
        output_value=records.output_value if originals.output_value is None else originals.output_value,
        sub_runs=records.sub_runs if originals.sub_runs is None else originals.sub_runs,
        hidden=originals.hidden,
    )


def _node_context(run: int, position: int) -> str:
    return f"node/{run}/{position}"


def mask_tree(value: Json, masker: Masker) -> Json:
    """Mask secret values in texts at any depth."""
    match value:
        case str():
            return masker.mask(value)
        case dict():
            return {key: mask_tree(below, masker) for key, below in value.items()}
        case list() | tuple():
            return [mask_tree(below, masker) for below in value]
    return value


def _mask_calls(record: dict[str, Any] | None, masker: Masker) -> dict[str, Any] | None:
    """Mask secret values in the params of sub-runs; their ids and names have to stay unchanged."""
    if record is None:
        return None
    masked = dict(record)
    for group in _CALLS:
        if group in record:
            masked[group] = [
                call | {name: mask_tree(call[name], masker) for name in ("params", "pairs") if call.get(name)}
                for call in record[group]
            ]
    return masked


# -- events ----------------------------------------------------------------------------------------------------------


def redact_event(posted: event.Event, masker: Masker) -> event.Event:
    """Mask secret values in the texts of an event, before they become part of state, history and log."""
    match posted:
        case event.StepExited():
            return msgspec.structs.replace(posted, error=masker.mask(posted.error))
        case event.ConditionsChecked():
            errors = tuple(map(masker.mask, posted.errors))
            return msgspec.structs.replace(posted, errors=errors, problem=masker.mask(posted.problem))
    return posted
