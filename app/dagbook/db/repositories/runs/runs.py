"""Reads of single runs and of what a server needs to execute or adopt them, and stop requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import and_, bindparam, func, insert, literal_column, or_, select, update
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Definition
from dagbook.db.models.node import Node
from dagbook.db.models.run import IS_ACTIVE, Run, RunAttempt, RunEvent, RunInput, RunRequest
from dagbook.db.models.service import Service
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.engine.status import BAD_ENDS, NodeStatus, RunStatus
from dagbook.json_values import Json
from dagbook.spec.model import Pair

_KILL = "kill"
_INPUTS = frozenset(
    {"params_json", "env", "dotenv", "work_dir", "keep_dir", "source_directory", "base_environment"}
    | {"sealed", "pending", "run_as", "variables"}
)

# The state of an attempt, for runs that ended badly: it says whether a step is the reason.
ENDED_BADLY = Run.status.in_([literal_column(str(int(status))) for status in sorted(BAD_ENDS)])
STATE_OF_BAD_END = and_(RunAttempt.run_id == Run.id, RunAttempt.number == Run.attempt, ENDED_BADLY)
_OF_NAME = (Run.dag_name == bindparam("name"), Run.root_id.is_(None))


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of a run."""

    id: int
    root_id: int | None
    dag_name: str
    run_id: str
    status: RunStatus
    attempt: int
    params_text: str
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    definition_hash: str
    file_name: str | None
    dag_revision: int | None
    queue: str
    trigger: str
    actor: str | None
    error: str | None
    scheduled_at: datetime | None = None


summary = columns(Run, RunRow)
_get = select(*summary).where(*_OF_NAME, Run.run_id == bindparam("run"))
_get_sub_run = select(*summary).where(Run.root_id == bindparam("root"), Run.run_id == bindparam("run"))
_get_newest = select(*summary).where(*_OF_NAME).order_by(Run.created_at.desc(), Run.run_id.desc()).limit(1)
_root, _parent = aliased(Run), aliased(Run)
_get_below = (
    select(
        *summary,
        _root.dag_name.label("root_name"),
        _root.run_id.label("root_run_id"),
        _parent.dag_name.label("parent_name"),
        _parent.run_id.label("parent_run_id"),
    )
    .join(_root, _root.id == Run.root_id)
    .join(_parent, _parent.id == Run.parent_id)
    .where(Run.root_id == bindparam("root"), Run.run_id == bindparam("run"))
)
_find_called = (
    select(*summary, RunAttempt.state)
    .outerjoin(RunAttempt, STATE_OF_BAD_END)
    .where(Run.parent_id == bindparam("parent"))
)
# Two steps, the first of which only needs the index of active runs: otherwise SQLite would scan all runs of the name,
# of which there may be thousands.
_active_keys = select(Run.id).where(*_OF_NAME, Run.status != RunStatus.QUEUED, IS_ACTIVE)
_find_active = select(Run.run_id).where(Run.id.in_(_active_keys.scalar_subquery()))
_get_complete_nodes = (
    select(*Node.__table__.columns)
    .where(Node.run_id == bindparam("run"), Node.attempt == bindparam("number"))
    .order_by(Node.position)
)
_get_nodes = _get_complete_nodes.with_only_columns(*(each for each in Node.__table__.columns if each.name != "ran"))
_get_outputs = _get_nodes.where(Node.position >= 0, Node.output_value.is_not(None))
_get_spec = select(Definition.spec, Definition.base).where(Definition.hash == bindparam("hash"))
_get_complete = (
    select(*Run.__table__.columns, *(column for column in RunInput.__table__.columns if column.name in _INPUTS))
    .join(RunInput, RunInput.run_id == Run.id)
    .where(Run.id == bindparam("run"))
)
_newest_inputs = (
    select(RunInput.sealed)
    .where(RunInput.run_id > 0)  # always true; makes the database use the index
    .order_by(RunInput.run_id.desc())
    .limit(bindparam("most"))
    .subquery()
)
_find_seal_heads = (
    select(func.substr(_newest_inputs.c.sealed, 1, bindparam("length")))
    .where(_newest_inputs.c.sealed.is_not(None))
    .distinct()
)
_last_seq = select(func.max(RunEvent.seq)).where(RunEvent.run_id == bindparam("run"))


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a run."""

    run_id: int
    number: int
    status: RunStatus
    owner: str | None
    token: int
    host: str | None
    state: dict[str, Json] | None
    opened_at: datetime
    closed_at: datetime | None
    takeovers: int


_get_attempt = select(*columns(RunAttempt, AttemptRow)).where(
    RunAttempt.run_id == bindparam("run"), RunAttempt.number == bindparam("number")
)


class RunWithState(RunRow, frozen=True, kw_only=True):
    """Summary of a run with the engine state of its attempt."""

    state: dict[str, Json] | None


class NamedSubRunRow(RunRow, frozen=True, kw_only=True):
    """Summary of a sub-run with names and ids of root and parent."""

    root_name: str
    root_run_id: str
    parent_name: str
    parent_run_id: str


class CompleteRun(RunRow, frozen=True, kw_only=True):
    """A run with its inputs."""

    parent_id: int | None
    params: list[list[str]]
    tags: list[str]
    stop_requested_at: datetime | None
    stop_requested_by: str | None
    max_active_runs: int
    env: list[list[str]]
    dotenv: list[list[str]]
    work_dir: str
    params_json: str | None
    base_environment: dict[str, str] | None
    keep_dir: bool
    sealed: bytes | None
    source_directory: str | None
    pending: dict[str, Json] | None
    run_as: str | None
    variables: list[list[str]] | None


class EngineFields(msgspec.Struct, frozen=True):
    """What readers use of the engine's state of a run or node: the node of an error, and unmet preconditions."""

    error_key: int | None = None
    conditions: tuple[str, ...] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Json] | None) -> EngineFields:
        """Read the state of an attempt, or the detail of a node."""
        return msgspec.convert(stored or {}, cls)


class NodeChange(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a node that a transition changes."""

    run_id: int
    attempt: int
    position: int
    status: NodeStatus
    execution: int
    started_at: datetime | None
    finished_at: datetime | None
    executed_at: datetime | None
    due_at: datetime | None
    retried_at: datetime | None
    retry_count: int
    done_count: int
    repeated: bool
    exit_code: int | None
    error: str
    output_name: str | None
    output_value: str | None
    pid: int | None
    pid_started: int | None
    spool: str | None
    detail: dict[str, Json] | None
    shown: dict[str, Json] | None
    sub_runs: dict[str, Json] | None
    output_sealed: bytes | None
    approval: dict[str, Json] | None
    ran: dict[str, Json] | None = None  # up to 16 KiB, which only ``get_complete_nodes`` reads
    has_summary: bool = False


class ShownCommand(msgspec.Struct, frozen=True):
    """The evaluated command in ``shown``, its arguments, and the line if these do not tell it."""

    command: str = ""
    args: tuple[str, ...] = ()
    line: str = ""

    @property
    def text(self) -> str:
        """The line as it ran: parts alone do not tell where it had quotes."""
        return self.line or " ".join((self.command, *self.args))


class NodeRow(NodeChange, frozen=True, kw_only=True):
    """A node of an attempt."""

    name: str
    handler: bool
    log_attempt: int | None
    edited_at: datetime | None
    edited_by: str | None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the history of a run."""

    seq: int
    attempt: int
    at: datetime
    position: int | None
    data: dict[str, Json]


def get(connection: ReadConnection, dag_name: str, run_id: str) -> RunRow | None:
    """Return the summary of a root run."""
    return first_row(connection, RunRow, _get, name=dag_name, run=run_id)


def get_sub_run(connection: ReadConnection, root: int, run_id: str) -> RunRow | None:
    """Return the summary of a sub-run at any depth below its root."""
    return first_row(connection, RunRow, _get_sub_run, root=root, run=run_id)


def get_name(connection: ReadConnection, run: int) -> tuple[str, str]:
    """Return the name and the run id of a run."""
    row = connection.execute(select(Run.dag_name, Run.run_id).where(Run.id == run)).one()
    return row.dag_name, row.run_id


def find_attempts(connection: ReadConnection, root: int, run_ids: Sequence[str]) -> dict[str, int]:
    """Return the current attempts of existing sub-runs below a root, by run id."""
    statement = select(Run.run_id, Run.attempt).where(Run.root_id == root, Run.run_id.in_(run_ids))
    return {row.run_id: row.attempt for row in connection.execute(statement)}


def get_outputs(connection: ReadConnection, run: int, attempt: int) -> Sequence[NodeRow]:
    """Return the steps of an attempt that have an output, by position."""
    return all_rows(connection, NodeRow, _get_outputs, run=run, number=attempt)


def get_latest(connection: ReadConnection, dag_name: str) -> RunRow | None:
    """Return the summary of the most recently created root run of a name."""
    return first_row(connection, RunRow, _get_newest, name=dag_name)


def get_below(connection: ReadConnection, root: int, run_id: str) -> NamedSubRunRow | None:
    """Return the summary of a sub-run at any depth below its root, with names and ids of root and parent."""
    return first_row(connection, NamedSubRunRow, _get_below, root=root, run=run_id)


def find_called(connection: ReadConnection, parent: int) -> dict[str, RunWithState]:
    """Return the summaries of the direct sub-runs of a run, by run id; the state of those that ended badly."""
    rows = all_rows(connection, RunWithState, _find_called, parent=parent)
    return {row.run_id: row for row in rows}


def find_active(connection: ReadConnection, dag_name: str) -> list[str]:
    """Return the ids of all active root runs of a name, in any order."""
    return [row.run_id for row in connection.execute(_find_active, {"name": dag_name})]


def get_params(connection: ReadConnection, run: int) -> list[Pair]:
    """Return the params of a run, secrets masked."""
    return msgspec.convert(connection.scalar(select(Run.params).where(Run.id == run)) or [], type=list[Pair])


def get_nodes(connection: ReadConnection, run: int, attempt: int) -> Sequence[NodeRow]:
    """Return the nodes of an attempt by position, for readers: without ``ran``."""
    return all_rows(connection, NodeRow, _get_nodes, run=run, number=attempt)


def get_complete_nodes(connection: ReadConnection, run: int, attempt: int) -> Sequence[NodeRow]:
    """Return the nodes of an attempt by position, for their runner, which stores them again."""
    return all_rows(connection, NodeRow, _get_complete_nodes, run=run, number=attempt)


def get_attempt(connection: ReadConnection, run: int, number: int) -> AttemptRow | None:
    """Return an attempt."""
    return first_row(connection, AttemptRow, _get_attempt, run=run, number=number)


def get_spec(connection: ReadConnection, definition_hash: str) -> tuple[str | None, str | None] | None:
    """Return YAML text and base text of a definition; the texts are None when they were redacted."""
    row = connection.execute(_get_spec, {"hash": definition_hash}).first()
    return None if row is None else (row.spec, row.base)


def get_spec_of_run(connection: ReadConnection, run: int) -> tuple[str | None, str | None] | None:
    """Return YAML text and base text of a run's definition, as ``get_spec`` does."""
    statement = (
        select(Definition.spec, Definition.base).join(Run, Run.definition_hash == Definition.hash).where(Run.id == run)
    )
    row = connection.execute(statement).first()
    return None if row is None else (row.spec, row.base)


def get_level(connection: ReadConnection, run: int) -> int:
    """Return the number of ancestors of a run."""
    above = select(Run.parent_id).where(Run.id == run).cte("above", recursive=True)
    above = above.union_all(select(Run.parent_id).join(above, Run.id == above.c.parent_id))
    return connection.execute(select(func.count(above.c.parent_id))).scalar() or 0


def get_complete(connection: ReadConnection, run: int) -> CompleteRun | None:
    """Return a run with its inputs, for its runner."""
    return first_row(connection, CompleteRun, _get_complete, run=run)


def find_seal_heads(connection: ReadConnection, most: int, length: int) -> list[bytes]:
    """Return the distinct first ``length`` bytes of the encrypted inputs of the newest runs."""
    return [bytes(head) for head in connection.scalars(_find_seal_heads, {"most": most, "length": length})]


def find_finished(connection: ReadConnection, keys: Iterable[int]) -> dict[int, int]:
    """Return those of the runs that are finished, with the numbers of their last attempts."""
    rows = connection.execute(select(Run.id, Run.attempt).where(Run.id.in_(list(keys)), Run.finished_at.is_not(None)))
    return {row.id: row.attempt for row in rows}


def get_events(connection: ReadConnection, run: int, after: int = 0, most: int | None = None) -> Sequence[EventRow]:
    """Return the history of a run in order, after a number."""
    statement = select(*columns(RunEvent, EventRow)).where(RunEvent.run_id == run, RunEvent.seq > after)
    return all_rows(connection, EventRow, statement.order_by(RunEvent.seq).limit(most))


def last_seq(connection: ReadConnection, run: int) -> int:
    """Return the number of a run's last event; 0 when it has none."""
    return connection.execute(_last_seq, {"run": run}).scalar() or 0


class StopRequest(msgspec.Struct, frozen=True):
    """A request to stop a run; ``at_once`` kills its steps without a grace period."""

    id: int
    run: int
    at_once: bool = False


def add_stop_request(
    connection: WriteConnection, run: int, actor: str | None, at: datetime, *, at_once: bool = False
) -> StopRequest:
    """Ask a run to stop; its owner turns the request into an event."""
    kind = _KILL if at_once else "stop"
    added = connection.execute(insert(RunRequest).values(run_id=run, kind=kind, actor=actor, asked_at=at))
    connection.execute(
        update(Run)
        .where(Run.id == run, Run.stop_requested_at.is_(None))
        .values(stop_requested_at=at, stop_requested_by=actor)
    )
    assert added.inserted_primary_key is not None  # noqa: S101 - one row was inserted
    return StopRequest(added.inserted_primary_key[0], run, at_once)


def find_stop_requests(connection: ReadConnection, owner: str, run: int | None = None) -> list[StopRequest]:
    """Return the unhandled stop requests for runs of an owner, or for one of them, oldest first."""
    statement = (
        select(RunRequest.id, RunRequest.run_id, RunRequest.kind)
        .join(RunAttempt, and_(RunAttempt.run_id == RunRequest.run_id, RunAttempt.closed_at.is_(None)))
        .where(RunRequest.handled_at.is_(None), RunAttempt.owner == owner)
        .order_by(RunRequest.id)
    )
    rows = connection.execute(statement if run is None else statement.where(RunRequest.run_id == run))
    return [StopRequest(key, run, kind == _KILL) for key, run, kind in rows]


def find_stopping(connection: ReadConnection, keys: Sequence[int]) -> set[int]:
    """Return those of the runs that have an unhandled stop request."""
    statement = select(RunRequest.run_id).where(RunRequest.run_id.in_(keys), RunRequest.handled_at.is_(None))
    return set(connection.scalars(statement))


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that is not closed, with data of its owner."""

    run: int
    number: int
    token: int
    opened_at: datetime
    owner: str | None
    owner_host: str | None
    owner_boot_id: str | None
    owner_pid_namespace: str | None
    owner_pid: int | None
    owner_pid_started: int | None
    lease_until: datetime | None
    stopped_at: datetime | None
    owner_labels: dict[str, str] | None = None  # None unless the owner is a worker
    owner_spool_id: str | None = None
    owner_spool_dir: str | None = None
    takeovers: int = 0


def find_open_attempts(connection: ReadConnection) -> list[OpenAttempt]:
    """Return all open attempts, except those of queued runs without an owner, with their owners."""
    rows = connection.execute(
        select(
            RunAttempt.run_id,
            RunAttempt.number,
            RunAttempt.token,
            RunAttempt.opened_at,
            RunAttempt.owner,
            Service.host,
            Service.boot_id,
            Service.pid_namespace,
            Service.pid,
            Service.pid_started,
            Service.lease_until,
            Service.stopped_at,
            Service.labels,
            Service.spool_id,
            Service.spool_dir,
            RunAttempt.takeovers,
        )
        .outerjoin(Service, Service.id == RunAttempt.owner)
        .where(
            RunAttempt.closed_at.is_(None), or_(RunAttempt.status != RunStatus.QUEUED, RunAttempt.owner.is_not(None))
        )
        .order_by(RunAttempt.run_id)
    )
    names = OpenAttempt.__struct_fields__
    return [OpenAttempt(**dict(zip(names, row, strict=True))) for row in rows]


def find_unfinished_family(connection: ReadConnection, root: int) -> list[int]:
    """Return the keys of a root run and its sub-runs at any depth, as far as they are not finished."""
    statement = select(Run.id).where(or_(Run.id == root, Run.root_id == root), Run.finished_at.is_(None))
    return list(connection.scalars(statement.order_by(Run.id)))


def adopt(connection: WriteConnection, attempt: OpenAttempt, owner: str, host: str, *, takeovers: int) -> bool:
    """Take ownership of an open attempt with the next token; False when another process was faster or has it locked.

    ``takeovers`` is stored with it: the new count of owners that were not seen to survive this.
    """
    return _change_owned(connection, attempt, {"owner": owner, "host": host, "takeovers": takeovers})


def fence_off(connection: WriteConnection, attempt: OpenAttempt) -> bool:
    """Give an open attempt the next token, so that its lost owner can write no more; False as ``adopt``."""
    return _change_owned(connection, attempt, {})


def _change_owned(connection: WriteConnection, attempt: OpenAttempt, values: Mapping[str, object]) -> bool:
    """Change an attempt and its token, if it is unchanged since it was read.

    A server that was suspended inside a transaction still holds its locks: the adoption of its other runs must not wait
    for a locked one, which is adopted in a later round, after the session was terminated.
    """
    unchanged = and_(
        RunAttempt.run_id == attempt.run,
        RunAttempt.number == attempt.number,
        RunAttempt.token == attempt.token,
        RunAttempt.closed_at.is_(None),
        or_(RunAttempt.owner == attempt.owner, RunAttempt.owner.is_(None)),
    )
    if connection.execute(select(RunAttempt.run_id).where(unchanged).with_for_update(skip_locked=True)).first() is None:
        return False
    connection.execute(update(RunAttempt).where(unchanged).values({"token": attempt.token + 1, **values}))
    return True


def reset_takeovers(connection: WriteConnection, owned: Iterable[tuple[int, int]]) -> None:
    """Reset the count of attempts, given as run and token: their owner has survived the take-over."""
    for run, token in owned:
        is_owned = (RunAttempt.run_id == run, RunAttempt.token == token, RunAttempt.closed_at.is_(None))
        connection.execute(update(RunAttempt).where(*is_owned).values(takeovers=0))
